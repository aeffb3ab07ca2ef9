package server

import (
	"sync"

	"usher.internal/core"
)

// ownerStreams knows the report stream of each owner, so that a new one takes over from the older.
type ownerStreams struct {
	mu sync.Mutex
	// streams is guarded by mu. A closed value tells its stream to end.
	streams map[core.Owner]chan struct{}
}

func newOwnerStreams() *ownerStreams {
	return &ownerStreams{streams: make(map[core.Owner]chan struct{})}
}

// enter makes the caller the owner's stream. replaced is closed when another one enters;
// leave must be called at the stream's end.
func (o *ownerStreams) enter(owner core.Owner) (replaced <-chan struct{}, leave func()) {
	mine := make(chan struct{})
	o.mu.Lock()
	defer o.mu.Unlock()
	if older, ok := o.streams[owner]; ok {
		close(older)
	}
	o.streams[owner] = mine
	return mine, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.streams[owner] == mine {
			delete(o.streams, owner)
		}
	}
}
