package core

import "time"

// pacesMost bounds the classes whose pace is kept.
const pacesMost = 1024

// pace is how fast the waiters of a class are served: the smoothed time between two grants while somebody waits in it.
type pace struct {
	since time.Time // the last grant, or when the first of those who wait now began to
	mean  time.Duration
}

// begins notes that somebody waits in a class of which nobody did. mu is held.
func (l *line) begins(key class) {
	p := l.paces[key]
	if p == nil {
		if len(l.paces) >= pacesMost {
			for other := range l.paces { // order-free: all are asked
				if l.queue.WaitingIn(other) == 0 {
					delete(l.paces, other)
				}
			}
		}
		p = &pace{}
		l.paces[key] = p
	}
	p.since = l.s.clock.Now()
}

// granted notes that a waiter of a class was served. mu is held.
func (l *line) granted(key class) {
	l.grants++
	p, now := l.paces[key], l.s.clock.Now()
	if p == nil {
		return
	}
	gap := now.Sub(p.since)
	if p.mean == 0 {
		p.mean = gap
	}
	p.mean += (gap - p.mean) / 8
	p.since = now
}

// estimate gives what a place in a class means. A line that stands for longer than it took of late from grant to grant is
// taken to go on so; 0 when nothing is known. mu is held.
func (l *line) estimate(key class, place int) time.Duration {
	p := l.paces[key]
	if p == nil {
		return 0
	}
	gap := p.mean
	if l.queue.WaitingIn(key) > 0 {
		gap = max(gap, l.s.clock.Now().Sub(p.since))
	}
	return time.Duration(place) * gap
}
