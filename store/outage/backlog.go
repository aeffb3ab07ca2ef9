package outage

import (
	"slices"
	"sync"
)

// backlog is what is kept for the primary until it answers, oldest first.
type backlog[T any] struct {
	// mu guards what follows.
	mu   sync.Mutex
	list []T
}

// tell tells what is kept, at most n at a time, and forgets what was told. Only one goroutine may do so at a time.
func (b *backlog[T]) tell(n int, tell func([]T) error) error {
	for {
		some := b.first(n)
		if len(some) == 0 {
			return nil
		}
		if err := tell(some); err != nil {
			return err
		}
		b.forget(len(some))
	}
}

func (b *backlog[T]) first(n int) []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.list[:min(n, len(b.list))])
}

func (b *backlog[T]) forget(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = slices.Delete(b.list, 0, min(n, len(b.list)))
}
