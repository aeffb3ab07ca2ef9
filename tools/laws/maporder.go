package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// ordered are the rooms where the order of a map must not reach a decision.
var ordered = []string{"core/pool", "core/decide", "core/queue", "core"}

// excuse says why the order is of no matter; it stands on the line of the range.
const excuse = "// order-free: "

// sorted are calls that take an iterator of any order and give one order.
var sorted = set("Sorted", "SortedFunc", "SortedStableFunc", "Collect")

func checkMapOrder(t *tree, rep report) {
	c := &typeChecker{tree: t, done: map[string]*types.Package{}, types: map[ast.Expr]types.TypeAndValue{}}
	var files []*file
	for _, dir := range ordered {
		files = append(files, t.packageFiles(dir)...)
	}
	if len(files) == 0 {
		return
	}
	if err := c.prepare(files); err != nil {
		rep(files[0].path, 1, "cannot read types: %v", err)
		return
	}
	for _, f := range files {
		_, _ = c.Import(module + "/" + f.dir)
		f.mapRanges(c.types, rep)
		f.mapIterators(rep)
	}
}

// packageFiles are the Go files of one folder, tests excepted.
func (t *tree) packageFiles(dir string) []*file {
	var all []*file
	for _, f := range t.goFiles() {
		if f.dir == dir && !f.test && f.err == nil {
			all = append(all, f)
		}
	}
	return all
}

func (f *file) mapRanges(known map[ast.Expr]types.TypeAndValue, rep report) {
	excused := f.excusedLines()
	ast.Inspect(f.ast, func(n ast.Node) bool {
		r, ok := n.(*ast.RangeStmt)
		if !ok || excused[f.line(r.Pos())] {
			return true
		}
		tv, ok := known[r.X]
		switch {
		case !ok || tv.Type == nil || tv.Type == types.Typ[types.Invalid]:
			rep(f.path, f.line(r.Pos()), "cannot tell what is ranged over: does the package build?")
		case isMap(tv.Type):
			rep(f.path, f.line(r.Pos()), "range over a map without %q", excuse+"<why>")
		}
		return true
	})
}

// isMap sees through names and type parameters.
func isMap(t types.Type) bool {
	if p, ok := types.Unalias(t).(*types.TypeParam); ok {
		t = p.Constraint()
	}
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface:
		for i := range u.NumEmbeddeds() {
			if union, ok := u.EmbeddedType(i).(*types.Union); ok && union.Len() > 0 && isMap(union.Term(0).Type()) {
				return true
			}
		}
	}
	return false
}

// mapIterators finds maps.Keys and the like outside a sort.
func (f *file) mapIterators(rep report) {
	excused := f.excusedLines()
	fine := map[ast.Expr]bool{}
	f.calls(func(c *ast.CallExpr) {
		s, ok := c.Fun.(*ast.SelectorExpr)
		if !ok || len(c.Args) == 0 {
			return
		}
		if pkg, ok := s.X.(*ast.Ident); ok && sortsOrCollects(pkg.Name, s.Sel.Name) {
			if inner, ok := c.Args[0].(*ast.CallExpr); ok {
				fine[inner.Fun] = true
			}
		}
	})
	f.uses("maps", func(name string, n ast.Node) {
		iterates := name == "Keys" || name == "Values" || name == "All"
		if expr, ok := n.(ast.Expr); iterates && ok && !fine[expr] && !excused[f.line(n.Pos())] {
			rep(f.path, f.line(n.Pos()), "maps.%s has no order: sort it, or say %q", name, excuse+"<why>")
		}
	})
}

// sortsOrCollects: a map collected into a map has lost nothing, a slice has.
func sortsOrCollects(pkg, name string) bool {
	return sorted[name] && (pkg == "maps" || pkg == "slices" && name != "Collect")
}

func (f *file) excusedLines() map[int]bool {
	lines := map[int]bool{}
	for _, g := range f.ast.Comments {
		for _, c := range g.List {
			if why, ok := strings.CutPrefix(c.Text, excuse); ok && strings.TrimSpace(why) != "" {
				lines[f.line(c.Pos())] = true
			}
		}
	}
	return lines
}

// typeChecker imports this module's packages from the tree and the standard
// library's from the compiler's export data.
type typeChecker struct {
	tree  *tree
	std   types.Importer
	done  map[string]*types.Package
	types map[ast.Expr]types.TypeAndValue
}

// Import implements types.Importer.
func (c *typeChecker) Import(p string) (*types.Package, error) {
	dir, mine := ours(p)
	if !mine {
		return c.std.Import(p)
	}
	if pkg, ok := c.done[p]; ok {
		if pkg == nil {
			return nil, errors.New("import cycle")
		}
		return pkg, nil
	}
	c.done[p] = nil
	var parsed []*ast.File
	for _, f := range c.tree.packageFiles(dir) {
		parsed = append(parsed, f.ast)
	}
	// Errors are the compiler's to tell; what is needed here is the rest.
	conf := types.Config{Importer: c, Error: func(error) {}}
	pkg, _ := conf.Check(p, c.tree.fset, parsed, &types.Info{Types: c.types})
	c.done[p] = pkg
	return pkg, nil
}

// prepare asks the go command for the export data that the files need.
func (c *typeChecker) prepare(files []*file) error {
	need := map[string]bool{}
	c.standardOf(files, need, map[string]bool{})
	if len(need) == 0 {
		need["unsafe"] = true
	}
	args := append([]string{"list", "-deps", "-export", "-f", "{{.ImportPath}} {{.Export}}"}, slices.Sorted(maps.Keys(need))...)
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Dir = c.tree.root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	exports := map[string]string{}
	for _, line := range strings.Split(string(out), "\n") {
		if p, file, ok := strings.Cut(line, " "); ok {
			exports[p] = file
		}
	}
	c.std = importer.ForCompiler(token.NewFileSet(), "gc", func(p string) (io.ReadCloser, error) {
		return os.Open(exports[p])
	})
	return nil
}

// standardOf collects the standard packages that the files import, straight or
// through this module's own.
func (c *typeChecker) standardOf(files []*file, need, seen map[string]bool) {
	for _, f := range files {
		for _, i := range f.imports {
			dir, mine := ours(i.path)
			switch {
			case mine && !seen[dir]:
				seen[dir] = true
				c.standardOf(c.tree.packageFiles(path.Clean(dir)), need, seen)
			case !mine && standard(i.path):
				need[i.path] = true
			}
		}
	}
}
