package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestCleanTreePasses(t *testing.T) {
	status, lines := laws(t, nil)
	if status != 0 {
		t.Fatalf("status %d:\n%s", status, strings.Join(lines, "\n"))
	}
	if want := "laws: 20 files, 21 rules, 0 violations"; lines[len(lines)-1] != want {
		t.Errorf("last line %q, want %q", lines[len(lines)-1], want)
	}
}

func TestUnreadableTreeIsAnError(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run(t.TempDir()+"/nowhere", &out, &errs); status != 2 || errs.Len() == 0 {
		t.Errorf("status %d, complaint %q", status, errs.String())
	}
}

// TestPlanted plants one violation in a clean tree and requires that it, and
// nothing else, is reported.
func TestPlanted(t *testing.T) {
	covered := map[string]bool{}
	for _, group := range [][]planted{arrowPlants(), purityPlants(), coreImportPlants(), calmPlants(), budgetPlants(), refusedPlants(), orderPlants()} {
		for _, p := range group {
			covered[p.rule] = true
			t.Run(p.name, func(t *testing.T) { p.check(t) })
		}
	}
	for _, r := range rules() {
		if !covered[r.name] {
			t.Errorf("no violation of %s is planted", r.name)
		}
	}
}

// planted is one violation: the files that hold it, and where it must be seen.
type planted struct {
	name  string
	rule  string
	at    string // file:line
	files plant
}

func (p planted) check(t *testing.T) {
	status, lines := laws(t, p.files)
	if status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	found := lines[:len(lines)-1]
	prefix := p.at + ": " + p.rule + ": "
	if !slices.ContainsFunc(found, func(l string) bool { return strings.HasPrefix(l, prefix) }) {
		t.Errorf("no line starts with %q in:\n%s", prefix, strings.Join(lines, "\n"))
	}
	for _, l := range found {
		if !strings.Contains(l, ": "+p.rule+": ") {
			t.Errorf("another rule is broken: %s", l)
		}
	}
}

// importing is a file whose third line imports a package.
func importing(pkg, importPath string) string {
	return "package " + pkg + "\n\nimport _ \"" + importPath + "\"\n"
}

// calling is a file that imports a package and uses it on the fifth line.
func calling(pkg, importPath, expr string) string {
	return "package " + pkg + "\n\nimport \"" + importPath + "\"\n\nvar x = " + expr + "\n"
}
