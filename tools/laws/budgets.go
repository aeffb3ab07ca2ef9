package main

import (
	"go/ast"
	"strings"
	"unicode"
	"unicode/utf8"
)

func checkFileLines(t *tree, rep report) {
	for _, f := range t.files {
		if !f.gen && f.lines > maxFileLines {
			rep(f.path, maxFileLines+1, "%d lines, at most %d", f.lines, maxFileLines)
		}
	}
}

// checkFuncLines counts declared functions and function literals. In a test a
// table of cases is data: its lines do not count.
func checkFuncLines(f *file, rep report) {
	if f.gen || f.ast == nil {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		name := "a function literal"
		switch fn := n.(type) {
		case *ast.FuncDecl:
			name = fn.Name.Name
		case *ast.FuncLit:
		default:
			return true
		}
		lines := f.span(n)
		if f.test {
			lines -= f.tableLines(n)
		}
		if lines > maxFuncLines {
			rep(f.path, f.line(n.Pos()), "%s has %d lines, at most %d", name, lines, maxFuncLines)
		}
		return true
	})
}

// tableLines counts the lines of the outermost composite literals in a
// function, each less its first line.
func (f *file) tableLines(fn ast.Node) int {
	n := 0
	ast.Inspect(fn, func(c ast.Node) bool {
		if _, ok := c.(*ast.CompositeLit); !ok {
			return true
		}
		n += f.span(c) - 1
		return false
	})
	return n
}

func checkInterfaces(f *file, rep report) {
	if f.gen {
		return
	}
	f.interfaces(func(name string, it *ast.InterfaceType) {
		n := 0
		for _, m := range it.Methods.List {
			n += len(m.Names)
		}
		if n > maxInterfaceMethods {
			rep(f.path, f.line(it.Pos()), "%s has %d methods, at most %d", name, n, maxInterfaceMethods)
		}
	})
}

// interfaces calls fn for each interface type of the file, named or not.
func (f *file) interfaces(fn func(name string, it *ast.InterfaceType)) {
	if f.ast == nil {
		return
	}
	named := map[*ast.InterfaceType]string{}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if it, ok := n.Type.(*ast.InterfaceType); ok {
				named[it] = n.Name.Name
			}
		case *ast.InterfaceType:
			name, ok := named[n]
			if !ok {
				name = "an interface"
			}
			fn(name, n)
		}
		return true
	})
}

func checkConstructors(f *file, rep report) {
	if f.gen || f.ast == nil {
		return
	}
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || !constructorName(fn.Name.Name) {
			continue
		}
		if n := positional(fn.Type); n > maxConstructorParams {
			rep(f.path, f.line(fn.Pos()), "%s has %d positional parameters, at most %d: take a struct", fn.Name.Name, n, maxConstructorParams)
		}
	}
}

// constructorName reports whether a name is New, NewThing or newThing.
func constructorName(name string) bool {
	rest, ok := strings.CutPrefix(name, "New")
	if !ok {
		rest, ok = strings.CutPrefix(name, "new")
	}
	first, _ := utf8.DecodeRuneInString(rest)
	return ok && (rest == "" || !unicode.IsLower(first))
}

// positional counts parameters; a closing list of options is none.
func positional(t *ast.FuncType) int {
	n := 0
	for _, p := range t.Params.List {
		if _, options := p.Type.(*ast.Ellipsis); options {
			continue
		}
		n += max(1, len(p.Names))
	}
	return n
}
