package storetest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"

	"usher.internal/core"
)

// Failures runs the suite over stores that plant has changed, and gives what each
// failing check said. A check that panics fails. Peers are sound.
func Failures(h Harness, plant func(core.Store) core.Store) map[string][]string {
	return failures(h, plant, Checks())
}

// Found gives what the check that a mutant was made for says of it.
func (m Mutant) Found(h Harness) []string {
	meant := slices.DeleteFunc(Checks(), func(c Check) bool { return c.Name != m.Meant })
	return failures(h, m.Plant, meant)[m.Meant]
}

func failures(h Harness, plant func(core.Store) core.Store, checks []Check) map[string][]string {
	whole := h.New
	h.New = func(t TB) core.Store { return plant(whole(t)) }
	all := make(map[string][]string)
	for _, check := range checks {
		if said := record(check, &h); len(said) > 0 {
			all[check.Name] = said
		}
	}
	return all
}

// record runs a check in a goroutine of its own, which Fatalf may end, and waits for it.
func record(check Check, h *Harness) []string {
	r := &recorder{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer r.clean()
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
			}
		}()
		check.Run(r, h)
	}()
	<-ended
	return r.said
}

// recorder is a TB that only remembers.
type recorder struct {
	// mu guards what follows.
	mu       sync.Mutex
	said     []string
	cleanups []func()
}

var _ TB = (*recorder)(nil)

// Helper does nothing.
func (*recorder) Helper() {}

// Errorf remembers a failure.
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// Fatalf remembers a failure and ends the check.
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// Cleanup remembers what to do at the end, the last first.
func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) clean() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}
