package outage

import (
	"usher.internal/core"
	"usher.internal/core/decide"
)

// full tells which accounts this replica may take no more of, besides what the primary says.
func (s *Store) full(shares map[string]int) func(account string) bool {
	return func(account string) bool {
		share, bound := shares[account]
		return bound && s.ledger.holds(account) >= share
	}
}

// told makes loads such that what this replica may not take is full: else a Select would ask for it again and again.
func (s *Store) told(i *island, ordinals []int32, loads []decide.Load) {
	if i != nil {
		i.told(ordinals, loads)
		return
	}
	shares := s.phase.Load().shares
	if shares == nil {
		return
	}
	full := s.full(shares)
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range min(len(ordinals), len(loads)) {
		ordinal := ordinals[n]
		if uint(ordinal) >= uint(len(s.roster.Accounts)) {
			continue
		}
		entry := &s.roster.Accounts[ordinal]
		if limit := int32(entry.Limit); limit > loads[n].InUse && full(entry.ID) {
			loads[n].InUse = limit
			loads[n].Rate = decide.LoadRate(limit, loads[n].Waiting, limit)
		}
	}
}

// spare leaves out what is full, and says where the others were.
func (s *Store) spare(order []core.Choice, full func(string) bool) (left []core.Choice, places []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range order {
		if ordinal := int(order[n].Ordinal); ordinal >= len(s.roster.Accounts) || !full(s.roster.Accounts[ordinal].ID) {
			left, places = append(left, order[n]), append(places, n)
		}
	}
	return left, places
}

// sparing keeps bindings to accounts that are full, for others to serve.
type sparing struct {
	judge core.Judge
	full  func(account string) bool
}

// Judge keeps what is full.
func (j *sparing) Judge(layer decide.Layer, account string) decide.Fate {
	fate := j.judge.Judge(layer, account)
	if fate != decide.Drop && j.full(account) {
		return decide.Keep
	}
	return fate
}

// Fates keeps what is full.
func (j *sparing) Fates(accounts []string, fates []core.Fates) {
	j.judge.Fates(accounts, fates)
	for n, account := range accounts {
		if !j.full(account) {
			continue
		}
		f := &fates[n]
		for _, fate := range [...]*decide.Fate{&f.Response, &f.Session, &f.Substitute} {
			if *fate != decide.Drop {
				*fate = decide.Keep
			}
		}
	}
}

// Standing is that of no other request: what is full changes with every take.
func (j *sparing) Standing() (core.Standing, bool) { return core.Standing{}, false }
