package core

import (
	"context"
	"maps"
	"slices"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// tellPause is how long accounts that change again and again are told of no more than once.
const tellPause = 100 * time.Millisecond

// ownerRetry is the pause after which the watch tries again what the store did not do.
const ownerRetry = time.Second

// watchOwners ends the leases of owners that are silent for too long, and tells the others of accounts that
// changed, until ctx ends. It sleeps until the next of them is due, or one is heard of for whom that may be too late.
func (s *Scheduler) watchOwners(ctx context.Context) {
	news := recurring{Scheduler: s, fails: "the leases of owners cannot be looked after; nothing ends until they can", works: "the leases of owners are looked after again"}
	var next time.Time
	for s.owners.sleep(ctx, s.clock, next) {
		now := s.clock.Now()
		due, _ := s.owners.watch(now, next)
		err := s.endSilent(ctx, due)
		later, told := s.tellChanged(ctx, now)
		if told != nil {
			err = told
		}
		news.ended(ctx, err)
		_, next = s.owners.watch(now, time.Time{})
		if err != nil {
			later = now.Add(ownerRetry)
		}
		if !later.IsZero() && (next.IsZero() || later.Before(next)) {
			next = later
		}
	}
}

// sleep waits until next, or until something is to be done before; false means that ctx has ended.
func (o *owners) sleep(ctx context.Context, clock Clock, next time.Time) bool {
	var fired <-chan time.Time
	if !next.IsZero() {
		var stop func()
		fired, stop = clock.After(next.Sub(clock.Now()))
		defer stop()
	}
	select {
	case <-ctx.Done():
		return false
	case <-o.kick:
	case <-fired:
	}
	return true
}

// watch lists who is due, and when the next one will be; zero for never. When the watch comes much later than was
// planned then this process stood still, and what owners said meanwhile is yet to be read: they get a grace for it.
func (o *owners) watch(now, planned time.Time) (due []*incarnation, next time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	stood := !planned.IsZero() && now.Sub(planned) > o.terms.HeartbeatTimeout
	if o.closed {
		return nil, next
	}
	for _, lives := range o.byName { // order-free: each owner's leases end on their own
		for _, i := range lives {
			if i.due.IsZero() {
				continue
			}
			if grace := now.Add(o.terms.OwnerGrace); stood && i.due.Before(grace) {
				i.due = grace
			}
			if !i.due.After(now) {
				due = append(due, i)
			} else if next.IsZero() || i.due.Before(next) {
				next = i.due
			}
		}
	}
	return due, next
}

// silent tells that nothing was heard of the incarnation until it was due.
func (o *owners) silent(i *incarnation, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.closed && !i.due.IsZero() && !i.due.After(now)
}

// endSilent ends the leases of owners that are due. The first error ends it, since the store is the same for all; they stay due.
func (s *Scheduler) endSilent(ctx context.Context, due []*incarnation) error {
	for _, i := range due {
		held, err := s.store.LeasesOf(ctx, i.owner.Name)
		if err != nil {
			return err
		}
		s.owners.recall(i, held)
		// One that is silent here may be heard of elsewhere, and is looked after there.
		elsewhere, err := s.store.Hear(ctx, Sign{Owner: i.owner})
		if err != nil {
			return err
		}
		now := s.clock.Now()
		var ids []LeaseID
		for n := range held {
			if held[n].Owner == i.owner && !elsewhere && s.owners.mayEnd(i, held[n].GrantedAt, now) {
				ids = append(ids, held[n].ID)
			}
		}
		// It may have come back while the store was asked.
		if !s.owners.silent(i, now) {
			continue
		}
		if err := s.endLeases(ctx, ids, LeaseEndOwnerSilent); err != nil {
			return err
		}
		s.owners.looked(i, now, elsewhere)
	}
	return nil
}

// mayEnd spares, after the first look, a lease that is younger than the grace.
func (o *owners) mayEnd(i *incarnation, granted, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return i.looks == 0 || !granted.Add(o.terms.OwnerGrace).After(now)
}

// looked takes down that a silent owner's leases have been ended, or that they are for another replica to end.
func (o *owners) looked(i *incarnation, now time.Time, elsewhere bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i.due.IsZero() || i.due.After(now) {
		return
	}
	o.changes++
	if !elsewhere {
		i.looks++
	}
	if !elsewhere && i.looks < looksMost || i.attached != nil {
		i.due = now.Add(o.terms.HeartbeatTimeout + o.terms.OwnerGrace)
		return
	}
	i.due = time.Time{}
	o.goneLocked(i)
}

// accountsChanged has those attached owners told of accounts who hold leases on them.
func (s *Scheduler) accountsChanged(ids []string) {
	s.owners.mu.Lock()
	defer s.owners.mu.Unlock()
	// An attachment that comes later asks by itself.
	if len(ids) == 0 || len(s.owners.byName) == 0 {
		return
	}
	for _, id := range ids {
		s.owners.changed[id] = struct{}{}
	}
	s.owners.wake()
}

// changedBetween lists the accounts of the old set that are gone or take requests otherwise in the new one.
func (s *Scheduler) changedBetween(old, current *pool.Set) (ids []string) {
	now := s.clock.Now()
	for n := range old.Len() {
		was := old.At(n)
		is, ok := current.Lookup(was.ID)
		if ok && is.State == was.State {
			before, until := s.blocked(was, now)
			after, end := s.blocked(is, now)
			if before == after && until.Equal(end) {
				continue
			}
		}
		ids = append(ids, was.ID)
	}
	return ids
}

// tellChanged looks up who holds leases on accounts that changed, and who is new and does on accounts that are blocked.
// It gives when it is to be called again; zero when it need not be.
func (s *Scheduler) tellChanged(ctx context.Context, now time.Time) (again time.Time, err error) {
	changed, attached, again := s.owners.toTell(now)
	if len(attached) == 0 {
		return again, nil
	}
	w := s.registry.current.Load()
	for _, a := range attached {
		held, err := s.store.LeasesOf(ctx, a.of.owner.Name)
		if err != nil {
			s.owners.tellLater(changed)
			return again, err
		}
		accounts := make(map[string]struct{})
		for k := range held {
			if held[k].Owner == a.of.owner {
				accounts[held[k].Account] = struct{}{}
			}
		}
		s.owners.tell(a, accounts, changed, func(id string) bool {
			reason, _ := s.blocked(w.account(id), now)
			return reason != decide.None
		})
	}
	return again, nil
}

// toTell takes the accounts that changed, unless that was done a moment ago, and the attachments that may have to hear of
// them or of anything.
func (o *owners) toTell(now time.Time) (changed map[string]struct{}, attached []*Attachment, again time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.changed) > 0 {
		if due := o.toldAt.Add(tellPause); now.Before(due) {
			again = due
		} else {
			changed, o.changed, o.toldAt = o.changed, make(map[string]struct{}), now
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.byName)) {
		for _, i := range o.byName[name] {
			if i.attached != nil && (len(changed) > 0 || i.attached.fresh) {
				attached = append(attached, i.attached)
			}
		}
	}
	return changed, attached, again
}

// tellLater puts back what could not be told.
func (o *owners) tellLater(changed map[string]struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.Copy(o.changed, changed)
}

// tell tells an attachment of accounts on which its owner holds leases.
func (o *owners) tell(a *Attachment, held, changed map[string]struct{}, blocked func(id string) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fresh := a.fresh
	a.fresh = false
	for id := range held { // order-free: a set is filled from a set
		_, is := changed[id]
		if is || fresh && blocked(id) {
			a.accounts[id] = struct{}{}
		}
	}
	if len(a.accounts) > 0 {
		a.wake()
	}
}
