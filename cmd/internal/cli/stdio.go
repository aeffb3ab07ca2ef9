package cli

import (
	"io"
	"os"
	"strconv"
	"time"
)

// IO is what a command sees of the process it runs in.
type IO struct {
	Out io.Writer
	Err io.Writer
	In  io.Reader
	// Env looks up an environment variable.
	Env func(string) string
	// Now reads the clock.
	Now func() time.Time
	// Size is the terminal behind Out in columns and lines; false when Out is none.
	Size func() (width, height int, ok bool)
	// Self starts this program again; a command's arguments are appended.
	Self []string
	// Version is what the build calls itself; blank when it was not told.
	Version string
}

// System is the IO of this process.
func System(version string) IO {
	self := os.Args[0]
	if path, err := os.Executable(); err == nil {
		self = path
	}
	return IO{
		Out: os.Stdout, Err: os.Stderr, In: os.Stdin,
		Env: os.Getenv,
		Now: time.Now,
		Size: func() (int, int, bool) {
			return terminalSize(os.Stdout)
		},
		Self:    []string{self},
		Version: version,
	}
}

// size is the terminal's, or what COLUMNS and LINES say where they are set.
// Without a terminal the height is 0, which means without end.
func (s IO) size() (width, height int, terminal bool) {
	width, height, terminal = s.Size()
	if n, err := strconv.Atoi(s.Env("COLUMNS")); err == nil && n > 0 {
		width = n
	}
	if n, err := strconv.Atoi(s.Env("LINES")); err == nil && n > 0 && terminal {
		height = n
	}
	if width <= 0 {
		width = 100
	}
	return width, max(height, 0), terminal
}

func (s IO) colored(terminal bool) bool {
	return terminal && s.Env("NO_COLOR") == "" && s.Env("TERM") != "dumb"
}
