package main

func arrowPlants() []planted {
	imp := func(name, file, pkg, path string) planted {
		return planted{name, "arrows", file + ":3", plant{file: importing(pkg, path)}}
	}
	return []planted{
		imp("core imports server", "core/x.go", "core", "usher.internal/server"),
		imp("core imports server behind a build tag", "core/x_plan9.go", "core", "usher.internal/server"),
		imp("core imports server from an ignored file", "core/_x.go", "core", "usher.internal/server"),
		imp("core's test imports server", "core/x_test.go", "core", "usher.internal/server"),
		imp("core imports gen", "core/x.go", "core", "usher.internal/gen/usher/v1"),
		imp("core imports a store", "core/x.go", "core", "usher.internal/store/memstore"),
		imp("core imports another module", "core/x.go", "core", "go.uber.org/zap"),
		imp("conformance outside tests", "core/x.go", "core", "usher.internal/core/internal/conformance"),
		imp("the model outside tests", "core/x.go", "core", "usher.internal/core/internal/model"),
		imp("the model imports what it is beside", "core/internal/model/x.go", "model", "usher.internal/core/pool"),
		imp("the model's test imports it too", "core/internal/model/x_test.go", "model", "usher.internal/core"),
		imp("pool imports core", "core/pool/x.go", "pool", "usher.internal/core"),
		imp("pool imports queue", "core/pool/x.go", "pool", "usher.internal/core/queue"),
		imp("decide imports queue", "core/decide/x.go", "decide", "usher.internal/core/queue"),
		imp("queue imports decide", "core/queue/x.go", "queue", "usher.internal/core/decide"),
		imp("server imports a store", "server/x.go", "server", "usher.internal/store/memstore"),
		imp("server imports cmd", "server/sub/x.go", "sub", "usher.internal/cmd/internal/app"),
		imp("a store imports server", "store/memstore/x.go", "memstore", "usher.internal/server"),
		imp("a store imports another", "store/redisstore/x.go", "redisstore", "usher.internal/store/memstore"),
		imp("a store imports gen", "store/memstore/x.go", "memstore", "usher.internal/gen/usher/v1"),
		imp("storetest outside tests", "cmd/usher/x.go", "main", "usher.internal/store/storetest"),
		imp("tools import core", "tools/x.go", "tools", "usher.internal/core"),
		imp("gen imports core", "gen/x.go", "gen", "usher.internal/core"),
		{"two in one package see both sides", "arrows", "cmd/usher/b.go:3", plant{
			"cmd/usher/a.go": importing("main", "usher.internal/server"),
			"cmd/usher/b.go": importing("main", "usher.internal/store/memstore"),
		}},
		{"outside every room", "arrows", "x.go:1", plant{"x.go": "package x\n"}},
	}
}

func purityPlants() []planted {
	var all []planted
	for _, p := range []string{
		"sync", "sync/atomic", "context", "os", "io", "io/fs", "net", "net/http", "log", "log/slog",
		"math/rand", "math/rand/v2", "crypto/rand", "runtime",
	} {
		all = append(all, planted{"queue imports " + p, "pure-imports", "core/queue/x.go:3", plant{"core/queue/x.go": importing("queue", p)}})
	}
	for _, name := range []string{"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker", "AfterFunc"} {
		all = append(all, planted{"core uses time." + name, "clock", "core/x.go:5", plant{"core/x.go": calling("core", "time", "time."+name)}})
	}
	return append(all, []planted{
		{"pool loads a zone", "pure-imports", "core/pool/x.go:5", plant{"core/pool/x.go": calling("pool", "time", "time.Local")}},
		{"a store uses time.Now", "clock", "store/memstore/x.go:5", plant{"store/memstore/x.go": calling("memstore", "time", "time.Now()")}},
		{"another clock.go", "clock", "core/queue/clock.go:5", plant{"core/queue/clock.go": calling("queue", "time", "time.Now()")}},
		{"time under another name", "clock", "core/x.go:5", plant{"core/x.go": "package core\n\nimport clock \"time\"\n\nvar x = clock.Now()\n"}},
		{"time under no name", "dot-imports", "core/x.go:3", plant{"core/x.go": "package core\n\nimport . \"time\"\n\nvar x = Now()\n"}},
		{"core imports math/rand", "randomness", "core/x.go:3", plant{"core/x.go": importing("core", "math/rand")}},
		{"a store imports math/rand/v2", "randomness", "store/x/x.go:3", plant{"store/x/x.go": importing("x", "math/rand/v2")}},
		{"core imports crypto/rand", "randomness", "core/x.go:3", plant{"core/x.go": importing("core", "crypto/rand")}},
		{"a store draws beside its secret", "randomness", "store/memstore/x.go:3", plant{"store/memstore/x.go": importing("memstore", "crypto/rand")}},
		{"another secret.go", "randomness", "store/redisstore/secret.go:3", plant{"store/redisstore/secret.go": importing("redisstore", "crypto/rand")}},
		{"a store bounds a call elsewhere", "clock", "store/redisstore/x.go:5", plant{"store/redisstore/x.go": calling("redisstore", "context", "context.WithTimeout(nil, 1)")}},
		{"global rand in storetest", "randomness", "store/storetest/x.go:5", plant{"store/storetest/x.go": calling("storetest", "math/rand/v2", "rand.N(3)")}},
		{"a test sleeps", "test-sleep", "cmd/usher/x_test.go:5", plant{"cmd/usher/x_test.go": calling("main", "time", "f(time.Sleep)")}},
		{"a test of redistest sleeps", "test-sleep", "store/storetest/redistest/x_test.go:5", plant{
			"store/storetest/redistest/x_test.go": calling("redistest", "time", "f(time.Sleep)"),
		}},
		{"a test waits for time.After", "test-sleep", "cmd/usher/x_test.go:5", plant{"cmd/usher/x_test.go": calling("main", "time", "<-time.After(1)")}},
		{"a test waits for a tick", "test-sleep", "cmd/usher/x_test.go:5", plant{"cmd/usher/x_test.go": calling("main", "time", "<-time.Tick(1)")}},
		{"a test waits for a timer", "test-sleep", "cmd/usher/x_test.go:5", plant{"cmd/usher/x_test.go": calling("main", "time", "<-time.NewTimer(1).C")}},
	}...)
}

func coreImportPlants() []planted {
	var all []planted
	for _, p := range []string{"os", "os/exec", "net", "net/http", "io/fs", "syscall", "log", "log/syslog"} {
		all = append(all, planted{"core imports " + p, "core-imports", "core/x.go:3", plant{"core/x.go": importing("core", p)}})
	}
	for _, name := range []string{"WithTimeout", "WithDeadline", "WithTimeoutCause", "WithDeadlineCause"} {
		for dir, pkg := range map[string]string{"core": "core", "store/memstore": "memstore"} {
			file := dir + "/x.go"
			all = append(all, planted{dir + " uses context." + name, "clock", file + ":5", plant{file: calling(pkg, "context", "context."+name)}})
		}
	}
	return all
}

func calmPlants() []planted {
	calm := func(name, dir, body string) planted {
		file := "core/" + dir + "/x.go"
		return planted{name, "pure-calm", file + ":3", plant{file: "package " + dir + "\n\n" + body + "\n"}}
	}
	return []planted{
		calm("a goroutine", "queue", "func f() { go f() }"),
		calm("a channel", "pool", "var c chan int"),
		calm("a send", "decide", "func f() { c <- 1 }"),
		calm("a receive", "queue", "func f() { <-c }"),
		calm("a select", "decide", "func f() { select {} }"),
	}
}

func orderPlants() []planted {
	pool := func(name, at, body string) planted {
		return planted{name, "map-order", "core/pool/x.go:" + at, plant{"core/pool/x.go": "package pool\n" + body}}
	}
	return []planted{
		pool("a map literal", "4", "\nfunc f() {\n\tfor range map[string]int{} {\n\t}\n}\n"),
		pool("a field's map", "4", "\nfunc f(s Set) {\n\tfor k := range s.Until {\n\t\t_ = k\n\t}\n}\n"),
		pool("an excuse without a why", "4", "\nfunc f(s Set) {\n\tfor range s.Until { // order-free: \n\t}\n}\n"),
		pool("a named map", "6", "\ntype m map[string]int\n\nfunc f(s m) {\n\tfor range s {\n\t}\n}\n"),
		pool("a generic map", "4", "\nfunc f[M ~map[K]V, K comparable, V any](s M) {\n\tfor range s {\n\t}\n}\n"),
		pool("an unsorted iterator", "7", "\nimport \"maps\"\n\nfunc f(s Set) {\n\n\tfor range maps.Keys(s.Until) {\n\t}\n}\n"),
		pool("what cannot be told", "4", "\nfunc f() {\n\tfor range unknown {\n\t}\n}\n"),
		{"core's own map", "map-order", "core/x.go:4", plant{"core/x.go": "package core\n\nfunc f(m map[int]int) {\n\tfor range m {\n\t}\n}\n"}},
		{"the line's map", "map-order", "core/queue/x.go:4", plant{"core/queue/x.go": "package queue\n\nfunc f(m map[int]int) {\n\tfor range m {\n\t}\n}\n"}},
		{"another package's map", "map-order", "core/decide/x.go:6", plant{
			"core/decide/x.go": "package decide\n\nimport \"usher.internal/core/pool\"\n\nfunc f(s pool.Set) {\n\tfor range s.Until {\n\t}\n}\n",
		}},
	}
}
