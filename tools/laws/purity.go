package main

import (
	"go/ast"
)

// clockFile alone in core reads the wall clock and draws a seed.
const clockFile = "core/clock.go"

// realServers starts real servers for tests and has to wait for them.
const realServers = "store/storetest/redistest"

var pureRooms = []string{"core/pool", "core/decide", "core/queue"}

// impure are packages, each with all below it, that lock, wait, draw or do I/O.
var impure = []string{
	"sync", "context", "os", "io", "net", "log", "math/rand", "crypto",
	"runtime", "syscall", "unsafe", "testing", "database", "embed",
}

// clockFuncs are what reads or waits for the clock; the rest of package time
// computes.
var clockFuncs = set("Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker")

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

func checkClock(f *file, rep report) {
	if f.test || f.path == clockFile || within(f.dir, realServers) || !withinAny(f.dir, "core", "store") {
		return
	}
	f.uses("time", func(name string, n ast.Node) {
		if clockFuncs[name] {
			rep(f.path, f.line(n.Pos()), "time.%s: time is passed in, only %s reads it", name, clockFile)
		}
	})
	for _, p := range []string{"math/rand", "math/rand/v2"} {
		f.uses(p, func(name string, n ast.Node) {
			if !seededRand[name] {
				rep(f.path, f.line(n.Pos()), "rand.%s: randomness comes from a seeded generator that is passed in", name)
			}
		})
	}
	for _, i := range f.imports {
		if i.name == "." && (i.path == "time" || within(i.path, "math/rand")) {
			rep(f.path, i.line, "a dot import of %s hides its calls", i.path)
		}
	}
}

func checkTestSleep(f *file, rep report) {
	if !f.test {
		return
	}
	f.uses("time", func(name string, n ast.Node) {
		if name == "Sleep" {
			rep(f.path, f.line(n.Pos()), "time.Sleep: wait for the event, or move a fake clock")
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
