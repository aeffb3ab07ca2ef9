package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// module is the import path of the tree that these laws are for.
const module = "usher.internal"

// tree is every source file of the project and the names at its top level.
type tree struct {
	root  string
	fset  *token.FileSet
	files []*file
	top   []string
}

// file is one source file; the fields from ast on are set for Go only.
type file struct {
	path  string // relative to the root, with slashes
	dir   string
	lines int
	test  bool
	gen   bool

	ast     *ast.File
	fset    *token.FileSet
	err     error
	imports []imported
}

// imported is one import of a file.
type imported struct {
	path string
	name string // what the file calls it; "." and "_" as written
	line int
}

// sources are the kinds of file that have a budget of lines.
var sources = map[string]bool{".go": true, ".lua": true, ".py": true, ".js": true, ".mjs": true, ".proto": true, ".sh": true, ".yaml": true, ".yml": true}

// load reads the tree. Hidden, built and installed folders are not part of it.
func load(root string) (*tree, error) {
	t := &tree{root: root, fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			return t.enter(rel)
		}
		if !d.Type().IsRegular() || !sources[path.Ext(rel)] {
			return nil
		}
		return t.add(rel, p)
	})
	return t, err
}

func (t *tree) enter(rel string) error {
	name := path.Base(rel)
	if strings.HasPrefix(name, ".") || name == "node_modules" && within(rel, "docs") || rel == "bin" {
		return fs.SkipDir
	}
	if !strings.Contains(rel, "/") {
		t.top = append(t.top, rel)
	}
	return nil
}

func (t *tree) add(rel, full string) error {
	src, err := os.ReadFile(full)
	if err != nil {
		return err
	}
	f := &file{
		path:  rel,
		dir:   path.Dir(rel),
		lines: countLines(src),
		test:  strings.HasSuffix(rel, "_test.go"),
		gen:   within(rel, "gen"),
		fset:  t.fset,
	}
	if path.Ext(rel) == ".go" {
		f.ast, f.err = parser.ParseFile(t.fset, rel, src, parser.ParseComments|parser.SkipObjectResolution)
		f.imports = f.readImports()
	}
	t.files = append(t.files, f)
	return nil
}

func countLines(src []byte) int {
	n := bytes.Count(src, []byte("\n"))
	if len(src) > 0 && src[len(src)-1] != '\n' {
		n++
	}
	return n
}

func (f *file) readImports() []imported {
	if f.ast == nil {
		return nil
	}
	var all []imported
	for _, s := range f.ast.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			continue
		}
		name := importName(p)
		if s.Name != nil {
			name = s.Name.Name
		}
		all = append(all, imported{path: p, name: name, line: f.line(s.Pos())})
	}
	return all
}

// importName guesses a package's name from its path; a version is not a name.
func importName(p string) string {
	base := path.Base(p)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(p))
	}
	return base
}

func (f *file) line(p token.Pos) int { return f.fset.Position(p).Line }

// span is how many lines a node takes.
func (f *file) span(n ast.Node) int { return f.line(n.End()) - f.line(n.Pos()) + 1 }

// importsPath reports whether the file imports the package.
func (f *file) importsPath(p string) bool {
	for _, i := range f.imports {
		if i.path == p {
			return true
		}
	}
	return false
}

func (t *tree) goFiles() []*file {
	var all []*file
	for _, f := range t.files {
		if f.ast != nil || f.err != nil {
			all = append(all, f)
		}
	}
	return all
}

// within reports whether a slash path is dir or lies below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}

func withinAny(p string, dirs ...string) bool {
	for _, d := range dirs {
		if within(p, d) {
			return true
		}
	}
	return false
}
