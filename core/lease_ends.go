package core

import (
	"cmp"
	"slices"
	"sync"
)

// LeaseEndCount counts leases that ended without their owner's doing.
type LeaseEndCount struct {
	// Owner is the owner's name; blank for leases without one and for owners that are not kept apart any more.
	Owner   string
	Account string
	End     LeaseEnd
	Total   uint64
}

// endOwnersMost bounds the owners that are counted apart; the one that lost nothing for the longest goes first.
const endOwnersMost = 256

type endKey struct {
	account string
	end     LeaseEnd
}

// ownerEnds is what one owner lost.
type ownerEnds struct {
	last  uint64 // the number of its latest loss
	total map[endKey]uint64
}

// leaseEnds counts losses by owner and account: they show leaks in gateways.
type leaseEnds struct {
	// mu guards what follows.
	mu      sync.Mutex
	losses  uint64
	byOwner map[string]*ownerEnds
	adopts  uint64
	over    uint64
}

func newLeaseEnds() *leaseEnds {
	return &leaseEnds{byOwner: map[string]*ownerEnds{"": {total: make(map[endKey]uint64)}}}
}

func (e *leaseEnds) count(l *Lease, how LeaseEnd) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.losses++
	of := e.byOwner[l.Owner.Name]
	if of == nil {
		if len(e.byOwner) > endOwnersMost {
			e.mergeOldest()
		}
		of = &ownerEnds{total: make(map[endKey]uint64)}
		e.byOwner[l.Owner.Name] = of
	}
	of.last = e.losses
	of.total[endKey{l.Account, how}]++
}

// mergeOldest counts the owner whose last loss is the oldest under the blank name from now on.
func (e *leaseEnds) mergeOldest() {
	var name string
	oldest := e.losses + 1
	for n, of := range e.byOwner { // order-free: no two have the same last loss
		if n != "" && of.last < oldest {
			name, oldest = n, of.last
		}
	}
	for key, total := range e.byOwner[name].total { // order-free: sums
		e.byOwner[""].total[key] += total
	}
	delete(e.byOwner, name)
}

func (e *leaseEnds) adopted(results []Adopted) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range results {
		if results[i].Taken {
			e.adopts++
		}
		if results[i].Overcommitted {
			e.over++
		}
	}
}

// list gives the counts, sorted.
func (e *leaseEnds) list() (counts []LeaseEndCount, adopted, overcommitted uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, of := range e.byOwner { // order-free: sorted below
		for key, total := range of.total { // order-free: sorted below
			counts = append(counts, LeaseEndCount{Owner: name, Account: key.account, End: key.end, Total: total})
		}
	}
	slices.SortFunc(counts, func(a, b LeaseEndCount) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Account, b.Account), cmp.Compare(a.End, b.End))
	})
	return counts, e.adopts, e.over
}
