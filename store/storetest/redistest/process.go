package redistest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
)

// process is a child that ends with this process.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it is gone
}

// launch starts the program, which writes to out. The goroutine that waits for it is over once ended is closed.
func launch(out *os.File, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(context.Background(), name, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = bound()
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		// The child is told of the end of the thread that started it, not of the process's: the thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
	}()
	return p, <-started
}

// signal tells the child something; one that is gone needs no telling.
func (p *process) signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}
