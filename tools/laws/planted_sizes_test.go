package main

import "strings"

func budgetPlants() []planted {
	lines := func(n int) string { return strings.Repeat("\n", n) }
	return []planted{
		{"a file of 500 lines", "file-lines", "server/x.go:401", plant{"server/x.go": "package server\n" + lines(499)}},
		{"a file of 401 lines", "file-lines", "server/x_test.go:401", plant{"server/x_test.go": "package server\n" + lines(400)}},
		{"a file with no last newline", "file-lines", "server/x.go:401", plant{"server/x.go": "package server\n" + lines(399) + "//"}},
		{"a long script", "file-lines", "store/redisstore/lua/x.lua:401", plant{"store/redisstore/lua/x.lua": lines(401)}},
		{"a long proto file", "file-lines", "proto/x.proto:401", plant{"proto/x.proto": lines(401)}},
		{"a long shell script", "file-lines", "docs/x.sh:401", plant{"docs/x.sh": lines(401)}},
		{"a long yaml file", "file-lines", "deploy/x.yaml:401", plant{"deploy/x.yaml": lines(401)}},
		{"a long yml file", "file-lines", "deploy/x.yml:401", plant{"deploy/x.yml": lines(401)}},
		{"node_modules outside docs", "file-lines", "server/node_modules/x.js:401", plant{"server/node_modules/x.js": lines(401)}},
		{"a function of 61 lines", "func-lines", "server/x.go:3", plant{"server/x.go": "package server\n\nfunc f() {" + lines(60) + "}\n"}},
		{"a method of 61 lines", "func-lines", "server/x.go:3", plant{"server/x.go": "package server\n\nfunc (t T) f() {" + lines(60) + "}\n"}},
		{"a literal of 61 lines", "func-lines", "server/x.go:3", plant{"server/x.go": "package server\n\nvar f = func() {" + lines(60) + "}\n"}},
		{"a test of 61 lines", "func-lines", "server/x_test.go:3", plant{"server/x_test.go": "package server\n\nfunc f() {" + lines(60) + "}\n"}},
		{"a table outside tests", "func-lines", "server/x.go:3", plant{"server/x.go": "package server\n\nfunc f() {\n\t_ = []int{" + lines(60) + "}\n}\n"}},
		{"a long literal in a table", "func-lines", "server/x_test.go:4", plant{
			"server/x_test.go": "package server\n\nfunc f() {\n\t_ = []func(){func() {" + lines(60) + "}}\n}\n",
		}},
		{"six methods", "interface-methods", "server/x.go:3", plant{"server/x.go": "package server\n\ntype I interface{ A(); B(); C(); D(); E(); F() }\n"}},
		{"six methods without a name", "interface-methods", "server/x.go:3", plant{"server/x.go": "package server\n\nvar i interface{ A(); B(); C(); D(); E(); F() }\n"}},
		{"five parameters", "constructor-params", "server/x.go:3", plant{"server/x.go": "package server\n\nfunc New(a, b, c int, d, e string) {}\n"}},
		{"five unnamed parameters", "constructor-params", "server/x.go:3", plant{"server/x.go": "package server\n\nfunc newThing(int, int, int, int, int) {}\n"}},
		{"a constructing method", "constructor-params", "server/x.go:3", plant{"server/x.go": "package server\n\nfunc (t T) NewThing(a, b, c, d, e int) {}\n"}},
	}
}

func refusedPlants() []planted {
	body := func(name, rule, at, file, pkg, text string) planted {
		return planted{name, rule, file + ":" + at, plant{file: "package " + pkg + "\n" + text}}
	}
	return []planted{
		body("a file that does not parse", "parse", "1", "server/x.go", "server", "\nfunc {\n"),
		body("a panic", "panic", "3", "server/x.go", "server", "\nfunc f() { panic(1) }\n"),
		body("a panic in parentheses", "panic", "3", "server/x.go", "server", "\nfunc f() { (panic)(1) }\n"),
		body("a logger's Panic", "panic", "3", "server/x.go", "server", "\nfunc f() { logger.Panic(``) }\n"),
		body("a logger's Panicf", "panic", "3", "server/x.go", "server", "\nfunc f() { s.log.Panicf(``) }\n"),
		body("a logger's Panicln", "panic", "3", "server/x.go", "server", "\nfunc f() { logger().Panicln() }\n"),
		body("a logger's Panicw", "panic", "3", "server/x.go", "server", "\nfunc f() { (logger.Panicw)(``) }\n"),
		body("a logger's DPanic", "panic", "3", "server/x.go", "server", "\nfunc f() { logger.DPanic(``) }\n"),
		body("log.Panic as a value", "panic", "5", "server/x.go", "server", "\nimport \"log\"\n\nvar x = log.Panic\n"),
		body("a panic in storetest", "panic", "3", "store/storetest/x.go", "storetest", "\nfunc f() { panic(1) }\n"),
		body("os.Exit", "exit", "5", "cmd/internal/app/x.go", "app", "\nimport \"os\"\n\nvar x = os.Exit\n"),
		body("os.Exit beside main", "exit", "5", "cmd/usher/x.go", "main", "\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n"),
		body("syscall.Exit", "exit", "5", "server/x.go", "server", "\nimport \"syscall\"\n\nfunc f() { syscall.Exit(1) }\n"),
		body("unix.Exit", "exit", "5", "server/x.go", "server", "\nimport \"golang.org/x/sys/unix\"\n\nfunc f() { unix.Exit(1) }\n"),
		body("a dot import", "dot-imports", "3", "server/x.go", "server", "\nimport . \"fmt\"\n"),
		body("a dot import in gen", "dot-imports", "3", "gen/x.go", "gen", "\nimport . \"fmt\"\n"),
		body("linkname", "linkname", "5", "server/x.go", "server", "\nimport _ \"unsafe\"\n\n//go:linkname f runtime.f\nfunc f()\n"),
		body("linkname in a test", "linkname", "3", "server/x_test.go", "server", "\n//go:linkname f runtime.f\nfunc f()\n"),
		body("log.Fatal", "exit", "5", "server/x.go", "server", "\nimport \"log\"\n\nfunc f() { log.Fatalf(``) }\n"),
		body("a logger's Fatal", "exit", "3", "server/x.go", "server", "\nfunc f() { logger.Fatal(``) }\n"),
		body("init", "init", "3", "server/x.go", "server", "\nfunc init() {}\n"),
		body("init in a test", "init", "3", "server/x_test.go", "server", "\nfunc init() {}\n"),
		body("a package named util", "package-names", "1", "server/x/x.go", "util", ""),
		body("a package named misc for its tests", "package-names", "1", "server/x/x_test.go", "misc_test", ""),
		body("a package named Utils", "package-names", "1", "server/x/x.go", "Utils", ""),
		body("a folder named Helpers", "package-names", "1", "server/Helpers/x.go", "x", ""),
		body("a folder named helpers", "package-names", "1", "server/helpers/x.go", "x", ""),
		body("a folder under common", "package-names", "1", "server/common/x/x.go", "x", ""),
		{"a top-level pkg", "top-level", "pkg:1", plant{"pkg/README.md": ""}},
		{"a top-level internal", "top-level", "internal:1", plant{"internal/deep/down/README.md": ""}},
		body("no comment in store.go", "interface-docs", "4", "core/store.go", "core", "\ntype s interface {\n\tTake()\n}\n"),
		body("no comment in core", "interface-docs", "4", "core/x.go", "core", "\ntype S interface {\n\tTake()\n}\n"),
		body("no comment below core", "interface-docs", "3", "core/queue/x.go", "queue", "\ntype S interface{ Take() }\n"),
	}
}
