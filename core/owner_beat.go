package core

import (
	"context"
	"slices"
	"time"
)

// Heartbeat is the owner's sign of life, with the tokens of all leases that it holds. It gives the owner's leases
// their whole lifetime again, takes up those that the store does not know, ends those that
// are missing from the second heartbeat in a row, unless a younger stream is heard by another replica, and tells of listed ones that have ended. Tokens that cannot
// be read are passed over. When it fails the owner has still been heard of; the next heartbeat does what this one did not.
// Errors: Err's, KindStoreUnavailable, ctx's own.
func (a *Attachment) Heartbeat(ctx context.Context, tokens []string) error {
	received := a.s.clock.Now()
	if err := a.s.owners.hear(a, received); err != nil {
		return err
	}
	a.beat.Lock()
	defer a.beat.Unlock()
	// A heartbeat that fails counts for nothing: no lease is missing from it.
	before := a.missing
	a.missing = nil
	held, err := a.s.store.LeasesOf(ctx, a.of.owner.Name)
	if err != nil {
		return err
	}
	elsewhere, err := a.hear(ctx)
	if err != nil {
		return err
	}
	if elsewhere {
		before = nil // what is not listed here may be listed there
	}
	b := beat{a: a, received: received, listed: make(map[LeaseID]bool, len(tokens))}
	b.list(tokens)
	b.compare(held, before)
	// The stream that took over may have said meanwhile that it holds them.
	if err := a.Err(); err != nil {
		return err
	}
	if err := a.s.endLeases(ctx, b.forgotten, LeaseEndForgotten); err != nil {
		return err
	}
	if err := a.s.prolong(ctx, b.renewals); err != nil {
		return err
	}
	if err := b.adopt(ctx); err != nil {
		return err
	}
	if !elsewhere {
		a.missing = b.missing
	}
	return nil
}

// beat is one heartbeat on its way.
type beat struct {
	a        *Attachment
	received time.Time
	tickets  []ticket
	// listed has every lease that a token names; true for one that the store lists as the owner's.
	listed    map[LeaseID]bool
	renewals  []Renewal
	forgotten []LeaseID
	missing   map[LeaseID]struct{}
}

func (b *beat) list(tokens []string) {
	for _, token := range tokens {
		t, ok := b.a.s.mint.open(token)
		if _, twice := b.listed[t.ID]; !ok || twice {
			continue
		}
		b.listed[t.ID] = false
		b.tickets = append(b.tickets, t)
	}
}

// compare finds which of the incarnation's leases are renewed, and which were forgotten.
func (b *beat) compare(held []Lease, before map[LeaseID]struct{}) {
	b.missing = make(map[LeaseID]struct{})
	for n := range held {
		l := &held[n]
		if l.Owner != b.a.of.owner {
			continue
		}
		if _, ok := b.listed[l.ID]; ok {
			b.listed[l.ID] = true
		} else if !l.GrantedAt.After(b.received) {
			if _, twice := before[l.ID]; twice {
				b.forgotten = append(b.forgotten, l.ID)
				continue
			}
			b.missing[l.ID] = struct{}{}
		}
		b.renewals = append(b.renewals, Renewal{Lease: l.ID, GrantedAt: l.GrantedAt, MaxAge: b.a.s.maxAge})
	}
}

// adopt takes up what is listed and not among the owner's leases, and tells of what turns out to have ended.
func (b *beat) adopt(ctx context.Context) error {
	s := b.a.s
	var asked []Adoption
	for n := range b.tickets {
		if t := &b.tickets[n]; !b.listed[t.ID] {
			l := Lease{
				ID: t.ID, Account: t.Account, Owner: b.a.of.owner,
				Tenant: t.Tenant, Group: t.Group, Model: t.Model, GrantedAt: t.GrantedAt,
			}
			asked = append(asked, Adoption{Lease: l, TTL: s.leaseTTL, MaxAge: s.maxAge})
		}
	}
	for chunk := range slices.Chunk(asked, sweepStep) {
		results := make([]Adopted, len(chunk))
		if err := s.store.Adopt(ctx, chunk, results); err != nil {
			return err
		}
		s.ends.adopted(results)
		for n := range results {
			s.noteEnds([]Renewed{results[n].Renewed})
			switch results[n].Status {
			case EventExpired, EventUnknown:
				s.owners.remind(b.a, &chunk[n].Lease, max(results[n].End, LeaseEndExpired))
			default:
				// It lives, or the owner gave it back itself while the heartbeat was on its way.
			}
		}
	}
	return nil
}

// prolong renews leases; what became of each in the meantime is told by the one who ended it.
func (s *Scheduler) prolong(ctx context.Context, renewals []Renewal) error {
	for chunk := range slices.Chunk(renewals, sweepStep) {
		renewed := make([]Renewed, len(chunk))
		if err := s.store.Renew(ctx, chunk, renewed); err != nil {
			return err
		}
		s.noteEnds(renewed)
	}
	return nil
}

// noteEnds tells the line of new ends of leases that live.
func (s *Scheduler) noteEnds(renewed []Renewed) {
	for n := range renewed {
		if renewed[n].Status == EventApplied {
			s.line.noteEnd(renewed[n].ExpiresAt)
		}
	}
}

// endLeases ends leases in small steps, counts them and tells their owners. What each step frees is handed on in it.
func (s *Scheduler) endLeases(ctx context.Context, ids []LeaseID, how LeaseEnd) error {
	for chunk := range slices.Chunk(ids, sweepStep) {
		var ended []Lease
		err := s.line.step(func() (err error) {
			ended, err = s.store.End(ctx, chunk, how)
			return err
		}, func() changes { return changes{ended: ended} })
		if err != nil {
			return err
		}
		for n := range ended {
			s.lost(&ended[n], how)
		}
	}
	return nil
}

// lost counts a lease that ended without its owner's doing, and tells the owner.
func (s *Scheduler) lost(l *Lease, how LeaseEnd) {
	s.ends.count(l, how)
	s.owners.lost(l, how)
}

// token gives a lease's token, the same that it was granted with.
func (s *Scheduler) token(l *Lease) string {
	return s.mint.seal(&ticket{
		ID: l.ID, GrantedAt: l.GrantedAt, Account: l.Account, Group: l.Group, Tenant: l.Tenant, Model: l.Model,
	})
}
