package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// teardown is what has to be ended, last begun first.
type teardown struct {
	// mu guards what follows.
	mu    sync.Mutex
	steps []step
	ended bool
}

type step struct {
	name string
	end  func(context.Context) error
}

// push adds a step; after run it is ended at once.
func (t *teardown) push(name string, end func(context.Context) error) {
	t.mu.Lock()
	late := t.ended
	if !late {
		t.steps = append(t.steps, step{name, end})
	}
	t.mu.Unlock()
	if late {
		ctx, cancel := context.WithTimeout(context.Background(), cutoff)
		defer cancel()
		_ = step{name, end}.run(ctx)
	}
}

// run ends all there is within ctx. A step that does not end in time is named in the error, and the next one begins.
func (t *teardown) run(ctx context.Context) error {
	t.mu.Lock()
	steps := t.steps
	t.steps, t.ended = nil, true
	t.mu.Unlock()
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		if err := steps[i].run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", steps[i].name, err))
		}
	}
	return errors.Join(errs...)
}

func (s step) run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.end(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return errors.New("did not end in time")
	}
}
