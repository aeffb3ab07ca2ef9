// Command laws checks the rules of the house that a compiler does not: which
// room may import which, where time and randomness come from, how large things
// may grow, and what is refused outright. It reads sources only, so build tags
// and file names hide nothing from it.
//
//	go run ./tools/laws [-root DIR]
//
// Each violation is one line, "file:line: rule: what". The exit status is 1 if
// there is any, 2 if the tree cannot be read.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	root := flag.String("root", ".", "the module's root directory")
	list := flag.Bool("rules", false, "list the rules and stop")
	flag.Parse()
	if *list {
		for _, r := range rules() {
			fmt.Printf("%-20s %s\n", r.name, r.says)
		}
		return
	}
	os.Exit(run(*root, os.Stdout, os.Stderr))
}

// run checks the tree at root and returns the exit status.
func run(root string, out, errs io.Writer) int {
	t, err := load(root)
	if err != nil {
		_, _ = fmt.Fprintln(errs, "laws:", err)
		return 2
	}
	all := rules()
	found := check(t, all)
	for _, v := range found {
		_, _ = fmt.Fprintln(out, v)
	}
	_, _ = fmt.Fprintf(out, "laws: %d files, %d rules, %d violations\n", len(t.files), len(all), len(found))
	if len(found) > 0 {
		return 1
	}
	return 0
}
