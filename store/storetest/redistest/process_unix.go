//go:build unix && !linux

package redistest

import (
	"os"
	"syscall"
)

var pause, resume os.Signal = syscall.SIGSTOP, syscall.SIGCONT

// bound can ask for nothing here: a child outlives a killed parent.
func bound() *syscall.SysProcAttr { return nil }
