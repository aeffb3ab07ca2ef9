package main

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

// mainFile is where the process may end.
const mainFile = "cmd/usher/main.go"

// topLevel are the rooms; hidden folders and bin are not looked at.
var topLevel = []string{"proto", "gen", "cmd", "server", "core", "store", "docs", "deploy", "tools"}

// vague names tell a reader nothing about what a package holds.
var vague = set("util", "utils", "common", "types", "helper", "helpers", "misc")

var panics = set("Panic", "Panicf", "Panicln", "Panicw", "DPanic", "DPanicf", "DPanicln", "DPanicw")

var fatal = set("Fatal", "Fatalf", "Fatalln", "Fatalw", "Fatalv")

func checkParse(f *file, rep report) {
	if f.err != nil {
		rep(f.path, 1, "%v", f.err)
	}
}

// checkPanic looks at any .Panic, called or not: a logger's is reached through
// a variable.
func checkPanic(f *file, rep report) {
	if f.gen || f.test || f.ast == nil {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if id, ok := ast.Unparen(n.Fun).(*ast.Ident); ok && id.Name == "panic" {
				rep(f.path, f.line(n.Pos()), "panic: return an error")
			}
		case *ast.SelectorExpr:
			if panics[n.Sel.Name] {
				rep(f.path, f.line(n.Sel.Pos()), ".%s: return an error", n.Sel.Name)
			}
		}
		return true
	})
}

func checkDotImports(f *file, rep report) {
	for _, i := range f.imports {
		if i.name == "." && !f.test {
			rep(f.path, i.line, "a dot import of %s hides what is used of it", i.path)
		}
	}
}

// checkLinkname: it reaches into a package past its face, and past these laws.
func checkLinkname(f *file, rep report) {
	if f.ast == nil {
		return
	}
	for _, g := range f.ast.Comments {
		for _, c := range g.List {
			if strings.HasPrefix(c.Text, "//go:linkname") {
				rep(f.path, f.line(c.Pos()), "go:linkname reaches past what a package exports")
			}
		}
	}
}

// checkExit looks at any .Fatal call, since a logger's is reached through a
// variable; where testing is imported that is a test's own.
func checkExit(f *file, rep report) {
	if f.gen || f.test || f.path == mainFile || within(f.dir, "tools") {
		return
	}
	for _, p := range []string{"os", "syscall", "golang.org/x/sys/unix"} {
		f.uses(p, func(name string, n ast.Node) {
			if name == "Exit" {
				rep(f.path, f.line(n.Pos()), "%s.Exit: only %s ends the process", path.Base(p), mainFile)
			}
		})
	}
	f.uses("log", func(name string, n ast.Node) {
		if fatal[name] {
			rep(f.path, f.line(n.Pos()), "log.%s: return an error", name)
		}
	})
	if f.importsPath("testing") {
		return
	}
	f.calls(func(c *ast.CallExpr) {
		s, ok := ast.Unparen(c.Fun).(*ast.SelectorExpr)
		if !ok || !fatal[s.Sel.Name] {
			return
		}
		if id, ok := s.X.(*ast.Ident); ok && id.Name == "log" && f.importsPath("log") {
			return
		}
		rep(f.path, f.line(c.Pos()), ".%s ends the process: return an error", s.Sel.Name)
	})
}

func checkInit(f *file, rep report) {
	if f.gen || f.ast == nil {
		return
	}
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			rep(f.path, f.line(fn.Pos()), "init runs unasked: call it from where it is needed")
		}
	}
}

func checkPackageNames(f *file, rep report) {
	if f.ast == nil {
		return
	}
	line := f.line(f.ast.Package)
	if name := f.ast.Name.Name; vague[strings.TrimSuffix(strings.ToLower(name), "_test")] {
		rep(f.path, line, "package %s: the name says nothing", name)
	}
	for _, part := range strings.Split(f.dir, "/") {
		if vague[strings.ToLower(part)] {
			rep(f.path, line, "folder %s: the name says nothing", part)
		}
	}
}

func checkTopLevel(t *tree, rep report) {
	for _, name := range t.top {
		if !slices.Contains(topLevel, name) {
			rep(name, 1, "not a room: %s", strings.Join(topLevel, " "))
		}
	}
}

// checkInterfaceDocs covers core/store.go whole, and what is exported in the
// rest of core.
func checkInterfaceDocs(f *file, rep report) {
	if f.test || !within(f.dir, "core") {
		return
	}
	f.interfaces(func(name string, it *ast.InterfaceType) {
		if f.path != path.Join("core", "store.go") && !ast.IsExported(name) {
			return
		}
		for _, m := range it.Methods.List {
			if len(m.Names) > 0 && strings.TrimSpace(m.Doc.Text()) == "" {
				rep(f.path, f.line(m.Pos()), "%s.%s has no comment: may it block, is it idempotent, which errors", name, m.Names[0].Name)
			}
		}
	})
}

func (f *file) calls(fn func(*ast.CallExpr)) {
	if f.ast == nil {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			fn(c)
		}
		return true
	})
}
