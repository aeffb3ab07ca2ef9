package pool

import (
	"fmt"
	"slices"
	"strings"
)

// Set is the roster at one moment, in listing order. It is immutable and safe for concurrent use.
type Set struct {
	accounts []Account
	all      []*Account
	byID     map[string]int32
	idRank   []int32 // place of each account in the order of CompareIDs
	groups   []string
	members  map[string][]*Account
	places   map[string][]int32 // aligned with members: their places in the set; "" holds all
}

// NewSet builds a set from a copy of the accounts; their order is the listing order.
// It fails on a blank or repeated id.
func NewSet(accounts []Account) (*Set, error) {
	s := &Set{
		accounts: make([]Account, len(accounts)),
		all:      make([]*Account, len(accounts)),
		byID:     make(map[string]int32, len(accounts)),
		members:  make(map[string][]*Account),
		places:   make(map[string][]int32),
	}
	for i := range accounts {
		id := accounts[i].ID
		if strings.TrimSpace(id) == "" {
			return nil, fmt.Errorf("account %d: blank id", i)
		}
		if _, taken := s.byID[id]; taken {
			return nil, fmt.Errorf("account %d: id %q is used twice", i, id)
		}
		s.accounts[i] = accounts[i].clone()
		a := &s.accounts[i]
		s.all[i], s.byID[id] = a, int32(i)
		s.places[""] = append(s.places[""], int32(i))
		for _, g := range a.Groups {
			if g == "" {
				continue
			}
			if _, known := s.members[g]; !known {
				s.groups = append(s.groups, g)
			}
			s.members[g] = append(s.members[g], a)
			s.places[g] = append(s.places[g], int32(i))
		}
	}
	slices.Sort(s.groups)
	s.idRank = rankIDs(s.all)
	return s, nil
}

func rankIDs(accounts []*Account) []int32 {
	order := make([]int32, len(accounts))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return CompareIDs(accounts[a].ID, accounts[b].ID) })
	rank := make([]int32, len(accounts))
	for place, i := range order {
		rank[i] = int32(place)
	}
	return rank
}

// Len gives the number of accounts.
func (s *Set) Len() int { return len(s.all) }

// At gives the i-th account in listing order, 0 ≤ i < Len.
func (s *Set) At(i int) *Account { return s.all[i] }

// Index gives the place of an id in listing order; false when it is not known.
func (s *Set) Index(id string) (int, bool) {
	i, ok := s.byID[id]
	return int(i), ok
}

// Lookup finds an account by its exact id; nil and false when it is not known.
func (s *Set) Lookup(id string) (*Account, bool) {
	i, ok := s.byID[id]
	if !ok {
		return nil, false
	}
	return s.all[i], true
}

// Groups gives the names of all groups that have an account, sorted. The caller must not change it.
func (s *Set) Groups() []string { return s.groups }

// HasGroup tells whether any account is in the group; "" holds all accounts and always is.
func (s *Set) HasGroup(group string) bool {
	_, ok := s.members[group]
	return ok || group == ""
}

// Members gives the group's accounts in listing order, all accounts for "".
// The caller must not change it.
func (s *Set) Members(group string) []*Account {
	if group == "" {
		return s.all
	}
	return s.members[group]
}
