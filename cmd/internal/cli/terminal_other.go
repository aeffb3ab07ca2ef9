//go:build !unix

package cli

import "os"

func terminalSize(*os.File) (width, height int, ok bool) { return 0, 0, false }

func notifyResize(chan<- os.Signal) (stop func()) { return func() {} }
