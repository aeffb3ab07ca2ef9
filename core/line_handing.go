package core

import (
	"slices"
	"sync"
)

// changes are what a step changed for those who wait.
type changes struct {
	// settled are in the order of their events; ended are leases that ended at once without a release.
	settled []settledChange
	ended   []Lease
}

// settledChange is what an event of a lease changed: it released a request id, or freed a slot of an account that a tenant had.
type settledChange struct {
	request         RequestKey
	freed           bool
	account, tenant string
}

// settledChanges gives what settled events changed.
func settledChanges(events []Settlement, results []Settled, tenants []string) (c changes) {
	for i := range results {
		one := settledChange{account: results[i].Account, tenant: tenants[i]}
		if results[i].Status.releases(events[i].Kind) {
			one.request = events[i].Request
		}
		switch events[i].Kind {
		case SettleFinished, SettleUnused, SettleWithdrawn:
			one.freed = results[i].Status == EventApplied
		case SettleFirstToken, SettleSwitched:
		}
		if one.freed || one.request != (RequestKey{}) {
			c.settled = append(c.settled, one)
		}
	}
	return c
}

// handOn ends the waits under request ids that were released, and serves the accounts of which a slot came free. mu is held.
func (l *line) handOn(c *changes) {
	cooled := l.unbindCooled()
	for i := range c.settled {
		one := &c.settled[i]
		if one.request != (RequestKey{}) {
			l.released(one.request)
		}
		if one.freed {
			l.free(one.account, one.tenant, WokenByRelease)
		}
	}
	if len(c.ended) > 0 {
		l.endedAtOnce(c.ended)
	}
	if cooled {
		l.dismiss(WokenByCooldownEnd)
	}
}

// handing is what the attendant is to hand on where the store is a network away: who frees a slot does not wait for those who wait.
type handing struct {
	// mu guards what follows.
	mu sync.Mutex
	handed
}

// handed is what there is to hand on.
type handed struct {
	released []RequestKey
	freed    []freedSlots
	taken    []takenBeside
	// cooled says that something may keep accounts away; joined that somebody joined the line, whom a slot may fit that nobody told of.
	cooled, joined bool
}

// freedSlots are slots that came free of one account, which a tenant had.
type freedSlots struct {
	account, tenant string
	why             WakeReason
	n               int
}

// takenBeside is what those who wait are to hear of an attempt that was made beside them.
type takenBeside struct {
	// decision is of a lease that was taken by a tenant, under a request id or none; nil without a lease.
	decision *Decision
	request  RequestKey
	tenant   string
	// move is the session's, if it may have moved.
	move  move
	moves bool
}

// noteAttempt takes down what an attempt beside the line came to, if it concerns anybody.
func (l *line) noteAttempt(r *run, lease *Lease) {
	t := takenBeside{request: r.bound.Grant.Request, tenant: r.req.Tenant}
	if t.move, t.moves = r.moves(lease); lease != nil {
		decision := r.decision
		t.decision = &decision
	}
	t.move.by = nil // it goes on, and waits for nothing
	if t.decision == nil && !t.moves {
		return
	}
	l.handing.mu.Lock()
	defer l.handing.mu.Unlock()
	l.handing.taken = append(l.handing.taken, t)
	l.wake()
}

// heard has those who wait hear of it. mu is held.
func (l *line) heard(t *takenBeside) {
	if t.decision != nil {
		if !t.decision.Repeated {
			l.took(t.tenant)
		}
		if t.request != (RequestKey{}) {
			l.answerAlike(t.request, t.decision, WokenByRelease)
		}
	}
	if t.moves {
		l.moved(t.move, WokenByRelease)
	}
}

// note takes changes down, and wakes the attendant.
func (l *line) note(c *changes) {
	h := &l.handing
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cooled = true
	for i := range c.settled {
		one := &c.settled[i]
		if one.request != (RequestKey{}) {
			h.released = append(h.released, one.request)
		}
		if one.freed {
			h.add(one.account, one.tenant, WokenByRelease, 1)
		}
	}
	for i := range c.ended {
		h.add(c.ended[i].Account, c.ended[i].Tenant, WokenByExpiry, 1)
	}
	l.wake()
}

// noteFreed takes down what a signal told.
func (l *line) noteFreed(account string, why WakeReason) {
	l.handing.mu.Lock()
	defer l.handing.mu.Unlock()
	l.handing.add(account, "", why, 0)
}

// noteReleased takes down that another replica released a request id.
func (l *line) noteReleased(key RequestKey) {
	l.handing.mu.Lock()
	defer l.handing.mu.Unlock()
	l.handing.released = append(l.handing.released, key)
}

// noteJoined takes down that somebody joined.
func (l *line) noteJoined() {
	l.handing.mu.Lock()
	defer l.handing.mu.Unlock()
	l.handing.joined = true
	l.wake()
}

// add is for slots that a tenant gave back, n of them; mu is held.
func (h *handing) add(account, tenant string, why WakeReason, n int) {
	at := slices.IndexFunc(h.freed, func(f freedSlots) bool { return f.account == account && f.tenant == tenant })
	if at < 0 {
		h.freed = append(h.freed, freedSlots{account: account, tenant: tenant, why: why, n: n})
		return
	}
	h.freed[at].n += n
}

// take gives what was taken down since, and forgets it.
func (h *handing) take() handed {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.handed
	h.handed = handed{}
	return all
}

// handOut hands on what was taken down, one thing after the other: who joins or leaves comes between.
func (l *line) handOut() {
	all := l.handing.take()
	if !l.waits() {
		return
	}
	locked := func(do func()) {
		l.mu.Lock()
		defer l.mu.Unlock()
		do()
	}
	cooled := false
	if all.cooled {
		locked(func() { cooled = l.unbindCooled() })
	}
	for i := range all.taken {
		locked(func() { l.heard(&all.taken[i]) })
	}
	for _, key := range all.released {
		locked(func() { l.released(key) })
	}
	for i := range all.freed {
		locked(func() { l.serveSlots(&all.freed[i]) })
	}
	if cooled {
		locked(func() { l.dismiss(WokenByCooldownEnd) })
	}
	if all.joined {
		// It may be another replica's turn.
		locked(func() {
			l.serveAll(WokenByRelease)
			l.lookSoon()
		})
	}
}

// serveSlots serves an account of which slots came free, and the tenant that had them. mu is held.
func (l *line) serveSlots(f *freedSlots) {
	for range f.n {
		l.uncap(f.tenant)
	}
	if account := l.s.registry.ordinal(f.account); !l.serveFreed(account, f.n, f.why) {
		l.serve(account, f.why)
	}
	if f.n > 0 {
		l.serveTenant(f.tenant, f.why)
	}
}

// serveFreed serves so many who wait for an account, of which as many slots came free, without asking for its loads; false when that is to
// be done, since one was not served. mu is held.
func (l *line) serveFreed(account int32, n int, why WakeReason) bool {
	for range n {
		w, ok := l.queue.Next(account)
		if !ok {
			return true
		}
		if !l.fits(account, w.Value) || !l.try(w.Value, why) {
			return false
		}
	}
	return n > 0
}
