package main

import (
	"cmp"
	"fmt"
	"slices"
)

// Budgets. They hold everywhere but in gen.
const (
	maxFileLines         = 400
	maxFuncLines         = 60
	maxInterfaceMethods  = 5
	maxConstructorParams = 4
)

// violation is one broken rule at one place.
type violation struct {
	file string
	line int
	rule string
	what string
}

func (v violation) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", v.file, v.line, v.rule, v.what)
}

// report records a violation of the rule that is being checked.
type report func(file string, line int, format string, args ...any)

// rule is one law. It is checked once for each file, or once for the tree.
type rule struct {
	name string
	says string
	file func(*file, report)
	tree func(*tree, report)
}

func rules() []rule {
	return []rule{
		{name: "parse", says: "every Go file parses", file: checkParse},
		{name: "arrows", says: "a room imports only what its arrow points to", file: checkArrows, tree: checkMeetingPlace},
		{name: "pure-imports", says: "core/pool, core/decide and core/queue import nothing that locks, waits or does I/O", file: checkPureImports},
		{name: "pure-calm", says: "core/pool, core/decide and core/queue have no goroutine and no channel", file: checkPureCalm},
		{name: "core-imports", says: "core imports nothing that reaches the machine", file: checkCoreImports},
		{name: "clock", says: "core and store do not read the clock, save in " + clockFile + " and " + budgetFile, file: checkClock},
		{name: "randomness", says: "core and store draw no randomness, save in " + secretFile, file: checkRandomness},
		{name: "test-sleep", says: "a test never sleeps, and waits on no timer outside synctest", file: checkTestSleep},
		{name: "file-lines", says: fmt.Sprintf("a source file has at most %d lines", maxFileLines), tree: checkFileLines},
		{name: "func-lines", says: fmt.Sprintf("a function has at most %d lines", maxFuncLines), file: checkFuncLines},
		{name: "interface-methods", says: fmt.Sprintf("an interface has at most %d methods of its own", maxInterfaceMethods), file: checkInterfaces},
		{name: "constructor-params", says: fmt.Sprintf("a constructor has at most %d positional parameters", maxConstructorParams), file: checkConstructors},
		{name: "panic", says: "no panic outside tests", file: checkPanic},
		{name: "dot-imports", says: "no dot import outside tests", file: checkDotImports},
		{name: "linkname", says: "no go:linkname", file: checkLinkname},
		{name: "exit", says: "only " + mainFile + " ends the process", file: checkExit},
		{name: "init", says: "no init function", file: checkInit},
		{name: "package-names", says: "a package is named for what it holds", file: checkPackageNames},
		{name: "top-level", says: "the top level has only the known rooms", tree: checkTopLevel},
		{name: "interface-docs", says: "every method of core's interfaces has a comment", file: checkInterfaceDocs},
		{name: "map-order", says: "a range over a map in core, core/pool, core/decide and core/queue says why order is of no matter", tree: checkMapOrder},
	}
}

// check runs the rules over the tree and returns what they found, in order of
// place.
func check(t *tree, all []rule) []violation {
	var found []violation
	for _, r := range all {
		rep := func(file string, line int, format string, args ...any) {
			found = append(found, violation{file: file, line: line, rule: r.name, what: fmt.Sprintf(format, args...)})
		}
		if r.tree != nil {
			r.tree(t, rep)
		}
		if r.file == nil {
			continue
		}
		for _, f := range t.goFiles() {
			r.file(f, rep)
		}
	}
	slices.SortFunc(found, func(a, b violation) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.rule, b.rule), cmp.Compare(a.what, b.what))
	})
	return slices.Compact(found)
}
