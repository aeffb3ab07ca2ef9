package core

import (
	"context"
	"time"
)

// slowLook is how often the line is looked over besides what is signaled, so
// that a lost signal can hang nobody; expiry and the ends of deadlines are found by it too.
const slowLook = 50 * time.Millisecond

// attend serves the line on what nobody on this replica says: signals of the store, and the slow look.
func (l *line) attend(ctx context.Context) {
	signals, err := l.s.store.Signals(ctx)
	if err != nil {
		l.s.logger.Warn("the store gives no signals; waiters are woken by the slow look", "error", err)
	}
	for {
		var fired <-chan time.Time
		stop := func() {}
		if l.waits() {
			fired, stop = l.s.clock.After(slowLook)
		}
		select {
		case <-ctx.Done():
			stop()
			return
		case <-l.kick:
		case signal, more := <-signals:
			if !more {
				signals = nil
			} else if signal.Kind == SignalFreed {
				l.freed(WokenByRelease, signal.Account)
			}
		case <-fired:
			l.look()
		}
		stop()
	}
}

// look serves every account that has room and is waited for.
func (l *line) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unbindAll(WokenByPoll)
	l.serveAll(WokenByPoll)
}
