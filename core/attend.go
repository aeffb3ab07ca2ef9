package core

import (
	"context"
	"time"
)

const (
	// slowLook is how often the line is looked over besides what is signaled, so that a lost signal can hang nobody.
	slowLook = time.Second
	// The pause between two sweeps that an end of a lease asks for doubles within these bounds while that end does not
	// come: the store's clock may be behind this one.
	leastPause = 2 * time.Millisecond
	mostPause  = 128 * time.Millisecond
)

// attend serves the line on what nobody on this replica says: the ends of leases and of accounts' deadlines, each at its time;
// signals of the store; and the slow look.
func (l *line) attend(ctx context.Context) {
	signals, err := l.s.store.Signals(ctx)
	if err != nil {
		l.s.logger.Warn("the store gives no signals; waiters are woken by the slow look", "error", err)
	}
	cooled := false // since a slot came free last
	a := attendant{line: l, stop: func() {}}
	defer func() { a.stop() }()
	for {
		l.handOut()
		a.arm()
		select {
		case <-ctx.Done():
			return
		case <-l.kick:
		case signal, open := <-signals:
			for more := open; more; { // what came free at once is handed on at once
				cooled = l.hear(ctx, signal, cooled)
				select {
				case signal, open = <-signals:
					more = open
				default:
					more = false
				}
			}
			if !open {
				signals = nil
			}
		case <-a.fired:
			a.due(ctx)
		}
	}
}

// hear takes a signal in. cooled says that accounts may be kept away since a slot came free last.
func (l *line) hear(ctx context.Context, signal Signal, cooled bool) bool {
	switch signal.Kind {
	case SignalFreed:
		cooled = l.heed(ctx, cooled)
		l.noteFreed(signal.Account, WokenByRelease)
	case SignalEnded:
		cooled = l.heed(ctx, cooled)
		l.noteFreed(signal.Account, WokenByExpiry)
	case SignalCooldown:
		cooled = l.s.shared
		select {
		case l.s.toldColds <- struct{}{}:
		default:
		}
	case SignalReleased:
		l.noteReleased(signal.Request)
	case SignalDirectory:
	}
	return cooled
}

// heed takes in what other replicas were told keeps accounts away, if there is something: the slot that came free may be of one of
// them. It gives what is left to be taken in.
func (l *line) heed(ctx context.Context, cooled bool) bool {
	if !cooled || !l.waits() {
		return cooled
	}
	return l.s.learnColds(ctx) != nil
}

// attendant holds one timer, for whatever comes first.
type attendant struct {
	*line
	fired <-chan time.Time
	stop  func()
	// at is what the timer is set for, zero while it is not set; look is when the line is looked over, zero while nobody waits.
	at, look time.Time
	// sweepAt is the line's, as it was when the timer fired last.
	sweepAt time.Time
}

// arm sets the timer, where that has to change.
func (a *attendant) arm() {
	var at time.Time
	if a.waits() {
		now := a.s.clock.Now()
		if a.look.IsZero() {
			a.look = now.Add(slowLook)
		}
		at = a.look
		if alarm := a.alarms.first(); !alarm.IsZero() && alarm.Before(at) {
			at = alarm
		}
		if soon := a.soon.Load(); soon != 0 {
			if first := a.s.started.Add(time.Duration(soon)); first.Before(at) {
				at = first
			}
		}
		if end, ok := a.ends.first(a.s.started); ok && end.Before(at) {
			if at = end; at.Before(a.sweepAt) {
				at = a.sweepAt
			}
		}
	} else {
		a.look = time.Time{}
	}
	if at.Equal(a.at) && a.fired != nil || at.IsZero() && a.fired == nil {
		return
	}
	a.stop()
	a.fired, a.stop, a.at = nil, func() {}, at
	if !at.IsZero() {
		a.fired, a.stop = a.s.clock.After(at.Sub(a.s.clock.Now()))
	}
}

// due does what the timer was set for.
func (a *attendant) due(ctx context.Context) {
	a.stop()
	a.fired, a.stop = nil, func() {}
	now := a.s.clock.Now()
	soon := a.soon.Load()
	turnsOver := soon != 0 && !now.Before(a.s.started.Add(time.Duration(soon)))
	// A slot of which no signal told yet may have come free with what keeps its account away.
	a.heed(ctx, turnsOver)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweepDue(ctx, now)
	a.sweepAt = a.line.sweepAt
	a.ring(now)
	if turnsOver {
		a.serveAll(WokenByRelease)
		a.soon.Store(0)
	}
	if !a.look.IsZero() && !now.Before(a.look) {
		a.look = now.Add(slowLook)
		a.lookOver()
	}
}

// catchUp serves who waits with what came free by itself until now, before a newcomer looks. mu is held.
func (l *line) catchUp(ctx context.Context) {
	if l.queue.Len() == 0 {
		return
	}
	now := l.s.clock.Now()
	l.sweepDue(context.WithoutCancel(ctx), now)
	l.ring(now)
}

// sweepDue ends the leases that are over, and hands on what that frees, if the first of them should be. mu is held.
func (l *line) sweepDue(ctx context.Context, now time.Time) {
	if !l.ends.due(l.s.started, now) || now.Before(l.sweepAt) {
		return
	}
	// The sweep that comes by itself tells of an error.
	_ = l.s.sweepLocked(ctx)
	pause := leastPause
	if l.ends.due(l.s.started, now) {
		pause = min(max(2*l.sweepPause, leastPause), mostPause)
	}
	l.sweepPause = pause
	l.sweepAt = now.Add(l.sweepPause)
}

// ring serves the accounts of which a deadline is over. mu is held.
func (l *line) ring(now time.Time) {
	for _, account := range l.alarms.due(now) {
		l.watch(account)
		l.unbindFrom(account, WokenByCooldownEnd)
		l.serve(account, WokenByCooldownEnd)
	}
}

// lookOver serves every account that has room and is waited for. mu is held.
func (l *line) lookOver() {
	l.lookForAnswered()
	l.unbindAll(WokenByPoll)
	l.serveAll(WokenByPoll)
	l.lookForCapped()
	l.dismiss(WokenByPoll)
}

// poolChanged gives every class its accounts of the current world, then serves all that has room.
func (l *line) poolChanged() {
	l.watchAll()
	if !l.waits() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []class
	for key := range l.queue.Classes() {
		keys = append(keys, key)
	}
	w := l.s.registry.current.Load()
	for _, key := range keys {
		l.queue.SetAccounts(key, w.accountsOf(key))
	}
	l.unbindAll(WokenByPoolChange)
	l.uncapAll()
	l.serveAll(WokenByPoolChange)
	l.dismiss(WokenByPoolChange)
}

// serveAll serves every account that somebody waits for and that has room, by loads of one instant.
func (l *line) serveAll(why WakeReason) {
	world := l.s.registry.current.Load()
	l.wanted = l.wanted[:0]
	for i := range world.set.Len() {
		if account := int32(world.set.At(i).Ordinal); l.queue.Wanted(account) {
			l.wanted = append(l.wanted, account)
		}
	}
	l.loads = room(l.loads, len(l.wanted))
	if len(l.wanted) == 0 || l.s.store.Loads(context.Background(), l.wanted, l.loads) != nil {
		return
	}
	for i, account := range l.wanted {
		if limit, _ := world.limit(account); limit <= 0 || l.loads[i].InUse < limit {
			l.serve(account, why)
		}
	}
}
