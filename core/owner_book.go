package core

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// lostMost is how many lost leases are kept for an owner to hear of.
	lostMost = 512
	// goneMost is how many incarnations stay known that are neither attached nor waited for.
	goneMost = 512
	// looksMost is how often the leases of a silent owner that is not attached are looked for: once when its grace
	// is over, once more for what was granted since to requests that it had sent before. What it takes later lives as if it never had attached.
	looksMost = 2
)

// incarnation is one life of an owner that has attached. owners.mu guards it, save owner and order.
type incarnation struct {
	owner Owner
	order uint64 // among all that attached first, the earlier the smaller
	since time.Time
	// attached is nil while there is no stream.
	attached *Attachment
	// due is when its leases are ended if it was not heard of until then; zero when nobody waits for it. Never zero while attached.
	due   time.Time
	looks int // since it fell silent
	lost  []lostLease
	// overflowed says that more were lost than are kept.
	overflowed bool
}

type lostLease struct {
	lease Lease
	how   LeaseEnd
}

// owners knows who has attached.
type owners struct {
	terms OwnerTerms
	// kick wakes the watch; it holds one token.
	kick chan struct{}

	// mu guards what follows and what it leads to. The store is never called under it.
	mu     sync.Mutex
	byName map[string][]*incarnation // in the order of their first attachment
	count  uint64                    // incarnations so far
	gone   []*incarnation            // that nobody waits for, the longest first
	closed bool
	// changed are accounts whose state is to be told.
	changed map[string]struct{}
	toldAt  time.Time // when some were told last
	// changes counts what an export would tell otherwise than the last.
	changes uint64
}

func newOwners(terms OwnerTerms) *owners {
	return &owners{
		terms: terms.orDefaults(), kick: make(chan struct{}, 1),
		byName: make(map[string][]*incarnation), changed: make(map[string]struct{}),
	}
}

func (o *owners) wake() {
	select {
	case o.kick <- struct{}{}:
	default:
	}
}

func (o *owners) findLocked(owner Owner) *incarnation {
	for _, i := range o.byName[owner.Name] {
		if i.owner == owner {
			return i
		}
	}
	return nil
}

// enter gives the incarnation, which is made known if need be.
func (o *owners) enter(owner Owner, now time.Time) *incarnation {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.findLocked(owner)
	if i == nil {
		i = o.knowLocked(owner, now)
	}
	return i
}

func (o *owners) knowLocked(owner Owner, since time.Time) *incarnation {
	o.count++
	o.changes++
	i := &incarnation{owner: owner, order: o.count, since: since}
	o.byName[owner.Name] = append(o.byName[owner.Name], i)
	return i
}

// leave forgets an incarnation that entered and did not attach.
func (o *owners) leave(i *incarnation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i.attached == nil && i.due.IsZero() && !slices.Contains(o.gone, i) {
		o.forgetLocked(i)
	}
}

func (o *owners) forgetLocked(i *incarnation) {
	rest := slices.DeleteFunc(o.byName[i.owner.Name], func(other *incarnation) bool { return other == i })
	if len(rest) == 0 {
		delete(o.byName, i.owner.Name)
	} else {
		o.byName[i.owner.Name] = rest
	}
	o.changes++
}

// earlier picks, of the leases of a name, those of incarnations that came before i. Of two that
// attached here the order is known; one that did not is as old as its oldest lease.
func (o *owners) earlier(i *incarnation, held []Lease) (ids []LeaseID) {
	first := make(map[Owner]time.Time)
	for n := range held {
		at, ok := first[held[n].Owner]
		if granted := held[n].GrantedAt; !ok || granted.Before(at) {
			first[held[n].Owner] = granted
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	own := i.since
	if granted, ok := first[i.owner]; ok && granted.Before(own) {
		own = granted
	}
	before := func(owner Owner) bool {
		if other := o.findLocked(owner); other != nil {
			return other.order < i.order
		}
		return !first[owner].After(own)
	}
	for n := range held {
		if owner := held[n].Owner; owner != i.owner && before(owner) {
			ids = append(ids, held[n].ID)
		}
	}
	return ids
}

// attach makes a the incarnation's one attachment.
func (o *owners) attach(a *Attachment, now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return errNotRunning
	}
	i := a.of
	// It may have been forgotten since it entered.
	if known := o.findLocked(i.owner); known != i {
		if known == nil {
			o.byName[i.owner.Name] = append(o.byName[i.owner.Name], i)
		} else {
			a.of, i = known, known
		}
	}
	if i.attached != nil {
		i.attached.end(errTakenOver)
	}
	i.attached = a
	o.changes++
	o.hearLocked(i, now)
	if len(i.lost) > 0 || i.overflowed {
		a.wake()
	}
	o.wake()
	return nil
}

// end ends the attachment, which nobody may have ended before.
func (a *Attachment) end(why error) {
	a.err = why
	close(a.done)
}

func (a *Attachment) wake() {
	select {
	case a.ready <- struct{}{}:
	default:
	}
}

// hear takes a sign of life.
func (o *owners) hear(a *Attachment, now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a.of.attached != a {
		return a.err
	}
	o.hearLocked(a.of, now)
	return nil
}

func (o *owners) hearLocked(i *incarnation, now time.Time) {
	if i.due.IsZero() {
		o.gone = slices.DeleteFunc(o.gone, func(other *incarnation) bool { return other == i })
	}
	i.due, i.looks = now.Add(o.terms.HeartbeatTimeout+o.terms.OwnerGrace), 0
}

func (o *owners) detach(a *Attachment, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := a.of
	if i.attached != a {
		return
	}
	i.attached = nil
	a.end(errDetached)
	o.changes++
	// A silent one too has its grace: what requests of its own got in its silence ends with that.
	if grace := now.Add(o.terms.OwnerGrace); grace.Before(i.due) {
		i.due = grace
	}
	i.looks = 0
	o.wake()
}

// goneLocked keeps an incarnation that nobody waits for any more: for its order, and for what it lost.
func (o *owners) goneLocked(i *incarnation) {
	o.gone = append(o.gone, i)
	if len(o.gone) > goneMost {
		o.forgetLocked(o.gone[0])
		o.gone = slices.Delete(o.gone, 0, 1)
	}
}

// close ends all attachments.
func (o *owners) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.closed = true
	for _, lives := range o.byName { // order-free: each ends on its own
		for _, i := range lives {
			if i.attached != nil {
				i.attached.end(errNotRunning)
				i.attached = nil
			}
		}
	}
}

// lost keeps a lost lease for its owner, if that has attached.
func (o *owners) lost(l *Lease, how LeaseEnd) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := o.findLocked(l.Owner); i != nil {
		o.lostLocked(i, l, how)
	}
}

func (o *owners) lostLocked(i *incarnation, l *Lease, how LeaseEnd) {
	if len(i.lost) < lostMost {
		i.lost = append(i.lost, lostLease{*l, how})
	} else {
		i.overflowed = true
	}
	if i.attached != nil {
		i.attached.wake()
	}
}

// keepsLost tells that something is kept for the incarnation to hear of.
func (o *owners) keepsLost(i *incarnation) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(i.lost) > 0
}

// recall forgets lost leases that live.
func (o *owners) recall(i *incarnation, held []Lease) {
	if !o.keepsLost(i) {
		return
	}
	lives := make(map[LeaseID]bool, len(held))
	for n := range held {
		lives[held[n].ID] = true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changes++
	i.lost = slices.DeleteFunc(i.lost, func(l lostLease) bool { return lives[l.lease.ID] })
}

// remind tells of an ended lease that a heartbeat lists, once in an attachment.
func (o *owners) remind(a *Attachment, l *Lease, how LeaseEnd) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, told := a.told[l.ID]
	waits := slices.ContainsFunc(a.of.lost, func(other lostLease) bool { return other.lease.ID == l.ID })
	if a.of.attached == a && !told && !waits {
		o.lostLocked(a.of, l, how)
	}
}

// take empties what an attachment is to be told.
func (o *owners) take(a *Attachment) (lost []lostLease, accounts []string, overflowed bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := a.of
	if i.attached != a {
		return nil, nil, false, a.err
	}
	lost, accounts, overflowed = i.lost, slices.Sorted(maps.Keys(a.accounts)), i.overflowed
	i.lost, i.overflowed = nil, false
	clear(a.accounts)
	if len(a.told) > 8*lostMost {
		clear(a.told)
	}
	for n := range lost {
		a.told[lost[n].lease.ID] = struct{}{}
	}
	return lost, accounts, overflowed, nil
}

// attachedNow counts owners with a stream.
func (o *owners) attachedNow() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, lives := range o.byName { // order-free: counted
		for _, i := range lives {
			if i.attached != nil {
				n++
			}
		}
	}
	return n
}
