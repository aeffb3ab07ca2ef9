package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// VersionCmd prints what this program is.
type VersionCmd struct {
	Output string `short:"o" help:"What to print: table for people, or json for scripts." enum:"table,json" default:"table" placeholder:"FORMAT"`
}

// Help is shown by --help.
func (VersionCmd) Help() string {
	return `Example:

    usher version -o json`
}

type build struct {
	Version  string `json:"version"`
	Module   string `json:"module"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"revision_time,omitempty"`
	Modified bool   `json:"modified"`
}

// Run prints it.
func (c *VersionCmd) Run(std IO) error {
	info, _ := debug.ReadBuildInfo()
	b := readBuild(std.Version, info)
	if c.Output == "json" {
		e := json.NewEncoder(std.Out)
		e.SetIndent("", "  ")
		return e.Encode(b)
	}
	f := &fields{width: 100}
	f.add("usher", b.Version)
	f.add("module", b.Module)
	f.add("go", b.Go+" "+b.Platform)
	if b.Revision != "" {
		state := ""
		if b.Modified {
			state = ", with changes"
		}
		f.add("revision", joined(" of ", b.Revision, b.Time)+state)
	}
	_, err := fmt.Fprint(std.Out, f.b.String())
	return err
}

func readBuild(told string, info *debug.BuildInfo) build {
	b := build{Version: told, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return b
	}
	b.Module = info.Main.Path
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
