package main

import (
	"strings"
)

const app = "cmd/internal/app"

// room is a part of the tree and what it may import of ours. The first room
// that holds a file decides, so inner rooms stand before outer ones.
type room struct {
	dir  string
	ours []string // of this module, besides the room itself
	test []string // its tests may import these too
	std  bool     // nothing from other modules, tests excepted
}

var rooms = []room{
	{dir: "core/pool", std: true, test: []string{"core/internal"}},
	{dir: "core/decide", std: true, ours: []string{"core/pool"}, test: []string{"core/internal"}},
	{dir: "core/queue", std: true, ours: []string{"core/pool"}, test: []string{"core/internal"}},
	{dir: "core/internal/model", std: true},
	{dir: "core", std: true, test: []string{"store/memstore", "store/storetest"}},
	{dir: "store/storetest", ours: []string{"core"}, test: []string{"store"}},
	{dir: "store/memstore", ours: []string{"core", "store/secret", "store/signal"}, test: []string{"store/storetest"}},
	{dir: "store/outage", ours: []string{"core", "store/memstore", "store/signal", "store/secret"}, test: []string{"store/storetest", "store/redisstore"}},
	{dir: "store/redisstore", ours: []string{"core", "store/secret", "store/signal"}, test: []string{"store/storetest", "store/memstore"}},
	{dir: "store", ours: []string{"core"}, test: []string{"store/storetest"}},
	{dir: "server", ours: []string{"core", "gen"}, test: []string{"store/memstore"}},
	{dir: "gen"},
	{dir: "cmd", ours: []string{"core", "gen", "server", "store"}},
	{dir: "tools"},
	{dir: "docs", ours: []string{"gen"}},
	{dir: "deploy"},
}

// testOnly are packages that only tests may import.
var testOnly = []string{"core/internal/conformance", "core/internal/model", "store/storetest"}

func roomOf(dir string) (room, bool) {
	for _, r := range rooms {
		if within(dir, r.dir) {
			return r, true
		}
	}
	return room{}, false
}

// ours returns an import's folder in this module.
func ours(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// standard reports whether a package comes with Go: its path has no host.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func checkArrows(f *file, rep report) {
	r, ok := roomOf(f.dir)
	if !ok {
		rep(f.path, 1, "a Go file outside every room")
		return
	}
	for _, i := range f.imports {
		dir, mine := ours(i.path)
		if !mine {
			if r.std && !f.test && !standard(i.path) {
				rep(f.path, i.line, "%s imports %s: standard library only", r.dir, i.path)
			}
			continue
		}
		allowed := within(dir, r.dir) || withinAny(dir, r.ours...) || f.test && withinAny(dir, r.test...)
		if !allowed {
			rep(f.path, i.line, "%s may not import %s", r.dir, dir)
		}
		checkTestOnly(f, i, dir, rep)
	}
}

func checkTestOnly(f *file, i imported, dir string, rep report) {
	for _, only := range testOnly {
		if !f.test && within(dir, only) && !within(f.dir, only) {
			rep(f.path, i.line, "%s is for tests only", dir)
		}
	}
}

// checkMeetingPlace: one package alone sees both the edge and the stores.
func checkMeetingPlace(t *tree, rep report) {
	type sight struct {
		server bool
		store  *imported
		file   *file
	}
	seen := map[string]*sight{}
	for _, f := range t.goFiles() {
		if f.test || within(f.dir, app) {
			continue
		}
		s := seen[f.dir]
		if s == nil {
			s = &sight{}
			seen[f.dir] = s
		}
		for _, i := range f.imports {
			dir, _ := ours(i.path)
			s.server = s.server || within(dir, "server")
			if within(dir, "store") {
				s.store, s.file = &i, f
			}
		}
	}
	for dir, s := range seen {
		if s.server && s.store != nil {
			rep(s.file.path, s.store.line, "%s imports both server and store: only %s may", dir, app)
		}
	}
}
