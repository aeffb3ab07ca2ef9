package main

import (
	"go/ast"
	"go/token"
)

// clockFile alone in core reads the wall clock and draws a seed.
const clockFile = "core/clock.go"

// secretFile alone in core and store draws what nobody may guess.
const secretFile = "store/secret/secret.go"

// budgetFile alone in the stores bounds a call in the machine's time.
const budgetFile = "store/redisstore/budget.go"

// realServers starts real servers for tests and has to wait for them.
const realServers = "store/storetest/redistest"

var pureRooms = []string{"core/pool", "core/decide", "core/queue"}

// impure are packages, each with all below it, that lock, wait, draw or do I/O.
var impure = []string{
	"sync", "context", "os", "io", "net", "log", "math/rand", "crypto",
	"runtime", "syscall", "unsafe", "testing", "database", "embed",
}

// outside are packages that reach the machine; core gets what it needs of it
// passed in. log/slog, which writes where it is told, is not among them.
var outside = []string{"os", "net", "io/fs", "syscall", "log/syslog"}

// deadlines are functions of context that read the clock.
var deadlines = set("WithTimeout", "WithDeadline", "WithTimeoutCause", "WithDeadlineCause")

// clockFuncs are what reads or waits for the clock; the rest of package time
// computes.
var clockFuncs = set("Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker")

// testTimers are what a test can sleep on by another name.
var testTimers = set("After", "NewTimer", "Tick")

// pureClockFuncs adds what depends on the machine's own files and zone.
var pureClockFuncs = set("LoadLocation", "Local")

// seededRand are the names of math/rand and math/rand/v2 that need a seed or a
// source from the caller.
var seededRand = set("New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf",
	"Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf")

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

func checkPureImports(f *file, rep report) {
	if f.test || !withinAny(f.dir, pureRooms...) {
		return
	}
	for _, i := range f.imports {
		if withinAny(i.path, impure...) || i.path == "math/rand/v2" {
			rep(f.path, i.line, "%s is pure and may not import %s", f.dir, i.path)
		}
	}
	f.uses("time", func(name string, n ast.Node) {
		if pureClockFuncs[name] {
			rep(f.path, f.line(n.Pos()), "time.%s depends on the machine: pass it in", name)
		}
	})
}

// checkPureCalm: what is pure runs on its caller's goroutine and shares nothing.
func checkPureCalm(f *file, rep report) {
	if f.test || f.ast == nil || !withinAny(f.dir, pureRooms...) {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		what := ""
		switch n := n.(type) {
		case *ast.GoStmt:
			what = "a goroutine"
		case *ast.ChanType:
			what = "a channel"
		case *ast.SendStmt:
			what = "a send"
		case *ast.SelectStmt:
			what = "a select"
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				what = "a receive"
			}
		}
		if what != "" {
			rep(f.path, f.line(n.Pos()), "%s: %s is pure", what, f.dir)
		}
		return true
	})
}

// checkCoreImports leaves the pure rooms to their own, stricter rule.
func checkCoreImports(f *file, rep report) {
	if !f.product() || !within(f.dir, "core") || withinAny(f.dir, pureRooms...) {
		return
	}
	for _, i := range f.imports {
		if i.path == "log" || withinAny(i.path, outside...) {
			rep(f.path, i.line, "core may not import %s: declare an interface", i.path)
		}
	}
}

// product reports whether a file is part of what runs, not of its tests or
// their support.
func (f *file) product() bool { return !f.test && !withinAny(f.dir, testOnly...) }

func checkClock(f *file, rep report) {
	if f.test || f.path == clockFile || f.path == budgetFile || within(f.dir, realServers) || !withinAny(f.dir, "core", "store") {
		return
	}
	if f.product() {
		f.uses("context", func(name string, n ast.Node) {
			if deadlines[name] {
				rep(f.path, f.line(n.Pos()), "context.%s reads the clock: take the caller's context", name)
			}
		})
	}
	f.uses("time", func(name string, n ast.Node) {
		if clockFuncs[name] {
			rep(f.path, f.line(n.Pos()), "time.%s: time is passed in, only %s reads it", name, clockFile)
		}
	})
}

// checkRandomness: a generator is passed in, and core/decide has its own; the
// support of tests may make one from a seed.
func checkRandomness(f *file, rep report) {
	if f.test || f.path == secretFile || !withinAny(f.dir, "core", "store") || withinAny(f.dir, pureRooms...) {
		return
	}
	for _, i := range f.imports {
		if i.path == "crypto/rand" || within(i.path, "math/rand") && f.product() {
			rep(f.path, i.line, "%s: randomness is passed in, only %s draws", i.path, secretFile)
		}
	}
	if f.product() {
		return
	}
	for _, p := range []string{"math/rand", "math/rand/v2"} {
		f.uses(p, func(name string, n ast.Node) {
			if !seededRand[name] {
				rep(f.path, f.line(n.Pos()), "rand.%s: randomness comes from a seeded generator that is passed in", name)
			}
		})
	}
}

// checkTestSleep lets timers pass where synctest's clock may drive them.
func checkTestSleep(f *file, rep report) {
	if !f.test {
		return
	}
	f.uses("time", func(name string, n ast.Node) {
		switch {
		case name == "Sleep":
			rep(f.path, f.line(n.Pos()), "time.Sleep: wait for the event, or move a fake clock")
		case testTimers[name] && !f.importsPath("testing/synctest"):
			rep(f.path, f.line(n.Pos()), "time.%s: wait for the event, under a context that bounds it", name)
		}
	})
	for _, i := range f.imports {
		if i.path == "time" && i.name == "." {
			rep(f.path, i.line, "a dot import of time hides its calls")
		}
	}
}

// uses calls fn for each name that the file takes from the package, called or
// not, whatever the file calls the package.
func (f *file) uses(importPath string, fn func(name string, n ast.Node)) {
	names := map[string]bool{}
	for _, i := range f.imports {
		if i.path == importPath {
			names[i.name] = true
		}
	}
	if len(names) == 0 {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := s.X.(*ast.Ident); ok && names[id.Name] {
			fn(s.Sel.Name, s)
		}
		return true
	})
}
