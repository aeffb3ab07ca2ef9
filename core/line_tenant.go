package core

import (
	"maps"
	"slices"
)

// cappedMost bounds how many parked tenants one slow look asks for.
const cappedMost = 64

// cap parks a tenant that holds as many slots as it may. mu is held.
func (l *line) cap(tenant string) {
	l.capped[tenant] = 0
	l.queue.Park(tenant)
}

// uncap lets a capped tenant, which gave a slot back, take one. mu is held.
func (l *line) uncap(tenant string) {
	if free, capped := l.capped[tenant]; capped {
		l.capped[tenant] = free + 1
		l.queue.Unpark(tenant)
	}
}

// took counts a slot that a tenant took, by whatever Select. mu is held.
func (l *line) took(tenant string) {
	free, capped := l.capped[tenant]
	if !capped || free == 0 {
		return
	}
	if l.capped[tenant] = free - 1; free == 1 {
		l.queue.Park(tenant)
	}
}

// serveTenant lets a tenant that was capped and may have a slot again look for one anywhere: what has room for it, nobody
// else waits for. mu is held.
func (l *line) serveTenant(tenant string, why WakeReason) {
	for again := true; again && l.capped[tenant] > 0; {
		again = false
		for _, w := range l.queue.Firsts(tenant) {
			// Behind one that goes to stand elsewhere there may be another.
			key := w.Value.class
			if again = l.try(w.Value, why) || w.Value.class != key; again || l.queue.Parked(tenant) {
				break
			}
		}
	}
	// Of those who ask the same, one may be of a session that a draining account serves.
	for _, account := range l.s.registry.current.Load().draining {
		if l.capped[tenant] > 0 {
			l.serve(account, why)
		}
	}
}

// overCap tells that the Select took nothing since its tenant holds as many slots as it may.
func (r *run) overCap() bool {
	return r.answer.Refusal != nil && r.answer.Refusal.Reason == RefusedTenantLimit
}

// lookForCapped asks for some of the parked tenants whether they may have a slot again, each time for others. mu is held.
func (l *line) lookForCapped() {
	if len(l.capped) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(l.capped))
	from, _ := slices.BinarySearch(names, l.lookedFor)
	for i := range min(len(names), cappedMost) {
		name := names[(from+i)%len(names)]
		if l.queue.Parked(name) {
			l.uncap(name)
			l.serveTenant(name, WokenByPoll)
		}
	}
	l.lookedFor = names[(from+min(len(names), cappedMost))%len(names)]
}

// uncapAll forgets who was capped: the limits may be others now. mu is held.
func (l *line) uncapAll() {
	for _, name := range slices.Sorted(maps.Keys(l.capped)) {
		l.uncap(name)
	}
}
