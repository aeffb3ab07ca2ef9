package redistest

import (
	"os"
	"syscall"
)

var pause, resume os.Signal = syscall.SIGSTOP, syscall.SIGCONT

// bound makes the kernel end the child when its parent is gone, however that ended.
func bound() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
