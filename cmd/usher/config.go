package main

import (
	"fmt"

	"usher.internal/cmd/internal/cli"
	"usher.internal/cmd/internal/config"
)

// configCmd holds what can be done with configuration files.
type configCmd struct {
	Check   configCheckCmd   `cmd:"" help:"Read a configuration file and tell every mistake in it."`
	Example configExampleCmd `cmd:"" help:"Print an annotated configuration file to start from."`
}

type configCheckCmd struct {
	File string `arg:"" help:"The file." placeholder:"FILE"`
}

// Help is shown by --help.
func (configCheckCmd) Help() string {
	return `Each mistake is told as file:line: field: what is wrong and what is allowed. Nothing is started. An address that other
machines reach is one unless the file says server.insecure: true; serve --insecure would allow it.

Exit codes: 0 the file is valid, 1 it is not.

Example:

    usher config check /etc/usher/usher.yaml`
}

// Run checks, and says in one line what the file holds.
func (c *configCheckCmd) Run(std cli.IO) error {
	read, err := config.Check(c.File)
	if err != nil {
		return err
	}
	groups := make(map[string]bool)
	for _, a := range read.Accounts {
		for _, g := range a.Groups {
			groups[g] = true
		}
	}
	_, err = fmt.Fprintf(std.Out, "%s is valid: %s, %s in use, profile %s\n", c.File,
		count(len(read.Accounts), "account"), count(len(groups), "group"), read.Policy.Profile)
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

type configExampleCmd struct{}

// Help is shown by --help.
func (configExampleCmd) Help() string {
	return `Example:

    usher config example > usher.yaml && usher config check usher.yaml && usher serve --config usher.yaml`
}

// Run prints it.
func (configExampleCmd) Run(std cli.IO) error {
	_, err := std.Out.Write(config.Example)
	return err
}
