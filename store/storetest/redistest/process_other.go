//go:build !unix

package redistest

import (
	"os"
	"syscall"
)

// A system without these signals has no Redis server either.
var pause, resume = os.Interrupt, os.Interrupt

func bound() *syscall.SysProcAttr { return nil }
