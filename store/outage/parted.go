package outage

import (
	"context"
	"sync"

	"usher.internal/core"
)

// parted are leases that were found at their end here while another replica may have known better: the primary is told when all have
// published what they look after, and ends those alone that it knows this replica to look after.
type parted struct {
	// mu guards what follows.
	mu  sync.Mutex
	how map[core.LeaseID]core.LeaseEnd
}

// add takes a lease in, unless there are too many: it ends by its lifetime then.
func (p *parted) add(id core.LeaseID, how core.LeaseEnd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.how == nil {
		p.how = make(map[core.LeaseID]core.LeaseEnd)
	}
	if len(p.how) < settlementsMost {
		p.how[id] = how
	}
}

// heard forgets a lease that lives.
func (p *parted) heard(id core.LeaseID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.how, id)
}

// some gives leases that ended in one way, at most n; none when there are none.
func (p *parted) some(n int) (ids []core.LeaseID, how core.LeaseEnd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, h := range p.how { // order-free: each ends by itself, and all of them do
		if len(ids) == 0 {
			how = h
		}
		if h == how && len(ids) < n {
			ids = append(ids, id)
		}
	}
	return ids, how
}

// part has the primary end what parted. What another replica looks after is that one's to end.
func (s *Store) part(ctx context.Context) error {
	for {
		ids, how := s.parted.some(chunk)
		if len(ids) == 0 {
			return nil
		}
		session := s.primary.Sessions()
		ended, err := s.primary.EndKept(ctx, ids, how)
		if err != nil {
			return err
		}
		s.endedOn(nil, session, ended, how)
		for _, id := range ids {
			s.parted.heard(id)
		}
	}
}
