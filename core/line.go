package core

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
	"usher.internal/core/queue"
)

// line is who waits, and how a slot that comes free finds the first whom it fits.
//
// While anybody waits, whatever takes or frees a slot on this replica does so under mu: so a
// newcomer cannot pass those who wait, and a freed slot is handed on before anybody else sees it.
type line struct {
	s *Scheduler
	// busy is above 0 from before the first waiter's last look at the loads until the last one left. Who
	// frees a slot reads it afterwards: either the waiter saw the slot, or the one who freed it sees the waiter.
	busy atomic.Int32
	// mu guards what follows, and the run of each waiter in the queue.
	mu     sync.Mutex
	queue *queue.Line[class, *waiter]
	all   map[*waiter]struct{}
	// byRequest are those who wait under each request id: whatever answers one answers all.
	byRequest map[RequestKey][]*waiter
	closed    bool
	rate      grantRate
	load      [1]decide.Load
	// kick tells the attendant that somebody waits.
	kick chan struct{}
}

// class is what can serve a waiter: the accounts of a query but the excluded ones, or one bound account.
type class struct {
	query    pool.Query
	excluded string
	bound    string
}

// waiter is one Select in line.
type waiter struct {
	queue.Waiter[*waiter]
	run     *run
	id      WaiterID
	request RequestKey // zero without an id
	class   class
	account string
	// limit is how long it waits at most.
	limit time.Duration
	// done gets what ends the wait, once; whoever takes the waiter out of the queue sends it.
	done chan served
}

// served is how a wait ended.
type served struct {
	lease *Lease
	err   error
	woken WakeReason
	// refused says that the run's answer is the end of it.
	refused bool
}

// WakeReason is what let a waiter go on.
type WakeReason uint8

const (
	// WokenByRelease means: a slot was given back.
	WokenByRelease WakeReason = iota + 1
	// WokenByExpiry means: a lease ended by itself.
	WokenByExpiry
	// WokenByCooldownEnd means: a deadline passed.
	WokenByCooldownEnd
	// WokenByPoolChange means: an account was added or enabled, or a limit raised.
	WokenByPoolChange
	// WokenByPoll means: the slow look found room.
	WokenByPoll
)

func newLine(s *Scheduler, aging time.Duration) *line {
	return &line{
		s: s, queue: queue.New[class, *waiter](aging), all: make(map[*waiter]struct{}),
		byRequest: make(map[RequestKey][]*waiter), kick: make(chan struct{}, 1),
	}
}

// waits tells whether anybody may be in line.
func (l *line) waits() bool { return l.busy.Load() > 0 }

// freed hands on slots of accounts, after they came free.
func (l *line) freed(why WakeReason, accounts ...string) {
	if !l.waits() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, account := range accounts {
		l.serve(l.s.registry.ordinal(account), why)
	}
}

// handOn ends the waits under request ids that were released, and serves the accounts of settled events that
// freed a slot. mu is held.
func (l *line) handOn(events []Settlement, results []Settled) {
	for i := range results {
		if events[i].Request != (RequestKey{}) && results[i].Status.releases(events[i].Kind) {
			l.released(events[i].Request)
		}
		switch events[i].Kind {
		case SettleFinished, SettleUnused, SettleWithdrawn:
			if results[i].Status == EventApplied {
				l.serve(l.s.registry.ordinal(results[i].Account), WokenByRelease)
			}
		case SettleFirstToken, SettleSwitched:
		}
	}
}

// serve lets those whom the account fits select anew, in fairness order, until it
// has no room or nobody is left who can take it. mu is held.
func (l *line) serve(account int32, why WakeReason) {
	for l.queue.Wanted(account) && l.open(account) {
		w, ok := l.queue.Next(account)
		if !ok {
			return
		}
		if l.fits(account, w.Value) && l.try(w.Value, why) {
			continue
		}
		if !l.hasRoom(account) || !l.serveOther(account, why) {
			return
		}
	}
}

// open tells that the account may serve somebody now: what keeps it from every request needs no look at who waits.
func (l *line) open(account int32) bool {
	if !l.hasRoom(account) {
		return false
	}
	w := l.s.registry.current.Load()
	return l.eligible(w.account(w.ids[account]), &anyBound)
}

// anyBound is what every request of a conversation asks of its account.
var anyBound = decide.Fitness{Layer: decide.LayerSession}

func (l *line) eligible(a *pool.Account, f *decide.Fitness) bool {
	reason, _ := decide.Eligible(a, l.s.colds.of(a.Ordinal), f, l.s.clock.Now())
	return reason == decide.None
}

// fits tells whether the account may serve the waiter now, whatever its load; a full bound account is all that a sticky one waits for.
func (l *line) fits(account int32, w *waiter) bool {
	if w.class.bound != "" {
		return true
	}
	world := l.s.registry.current.Load()
	fitness := w.run.asked.Fitness(decide.LayerLoadBalance, world.policy)
	return l.eligible(world.account(world.ids[account]), &fitness)
}

// serveOther looks behind a first waiter that cannot take the account's slot now, for a limit on its model or
// its tenant. Who waits for the same, or belongs to the same tenant, is passed over without a try.
func (l *line) serveOther(account int32, why WakeReason) bool {
	took := false
	unfit, capped := map[class]bool{}, map[string]bool{}
	l.queue.Each(account, func(w *queue.Waiter[*waiter]) bool {
		waits := w.Value
		tenant := waits.run.req.Tenant
		if capped[tenant] || unfit[waits.class] {
			return true
		}
		if !l.fits(account, waits) {
			unfit[waits.class] = true
			return true
		}
		if took = l.try(waits, why); took {
			return false
		}
		if f := waits.run.answer.Refusal; f != nil && f.Reason == RefusedTenantLimit {
			capped[tenant] = true
		} else {
			unfit[waits.class] = true
		}
		return true
	})
	return took
}

// try lets one waiter select anew over the pool; true when it is served and out of the line.
func (l *line) try(w *waiter, why WakeReason) bool {
	ctx := context.Background()
	w.run.again()
	lease, err := w.run.layers(ctx)
	if w.class.bound != "" && lease == nil && err == nil && w.run.boundNoMore() {
		return l.unbind(w)
	}
	if err != nil && KindOf(err) == KindStoreUnavailable || err == nil && lease == nil {
		return false
	}
	// What is told of it is copied: the run is the waiter's own again once it is answered.
	decision := w.run.decision
	if lease != nil && !decision.Repeated {
		l.queue.Grant(&w.Waiter)
		l.rate.granted(l.s.clock.Now())
	}
	l.out(w)
	w.done <- served{lease: lease, err: err, woken: why}
	if lease != nil {
		l.answerAlike(w.request, &decision, why)
	}
	return true
}

// boundNoMore tells that a Select that waited for its bound account would not any more: the account is gone or unfit.
func (r *run) boundNoMore() bool {
	return r.answer.WaitPlan == nil || r.decision.Layer == decide.LayerLoadBalance
}

// unbind lets a waiter whose bound account will not serve it stand in line for the others, or refuses it.
func (l *line) unbind(w *waiter) bool {
	if w.run.answer.WaitPlan == nil {
		l.out(w)
		w.done <- served{refused: true}
		return true
	}
	if w.account = w.run.answer.WaitPlan.Account.ID; l.s.store.Move(context.Background(), w.id, w.account) != nil {
		return false // it is asked again at the next look
	}
	l.queue.Leave(&w.Waiter)
	l.enter(w, "")
	return false
}

// enter puts a waiter into its class, and gives its place; bound is blank unless it waits for one account. mu is held.
func (l *line) enter(w *waiter, bound string) (place int) {
	r := w.run
	w.class = classFor(r.asked.Query(), r.req.Excluded, bound)
	ticket := queue.Ticket[class]{
		Class: w.class, Tenant: r.req.Tenant, Priority: r.req.Priority, Arrived: r.began.Sub(l.s.started),
	}
	if l.queue.WaitingIn(w.class) == 0 {
		ticket.Accounts = r.world.accountsOf(w.class)
	}
	return l.queue.Join(&w.Waiter, ticket)
}

// unbindAll asks those who wait for a bound account that may not serve any more. mu is held.
func (l *line) unbindAll(why WakeReason) {
	world := l.s.registry.current.Load()
	gone := map[string]bool{}
	for key := range l.queue.Classes() {
		if key.bound != "" {
			gone[key.bound] = !l.eligible(world.account(key.bound), &anyBound)
		}
	}
	var waiting []*waiter
	for w := range l.all { // order-free: sorted below
		if gone[w.class.bound] {
			waiting = append(waiting, w)
		}
	}
	slices.SortFunc(waiting, func(a, b *waiter) int { return bytes.Compare(a.id[:], b.id[:]) })
	for _, w := range waiting {
		l.try(w, why)
	}
}

// hasRoom asks the store; an account that is not in the pool any more has none.
func (l *line) hasRoom(account int32) bool {
	limit, known := l.s.registry.current.Load().limit(account)
	if !known || limit <= 0 {
		return known
	}
	err := l.s.store.Loads(context.Background(), []int32{account}, l.load[:])
	return err == nil && l.load[0].InUse < limit
}

// leave takes a waiter out; false when it was served before, and done has how.
func (l *line) leave(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, waits := l.all[w]; !waits {
		return false
	}
	l.out(w)
	return true
}

// out takes a waiter off the books. mu is held.
func (l *line) out(w *waiter) {
	l.queue.Leave(&w.Waiter) // of no effect after a grant
	delete(l.all, w)
	l.forget(w)
	l.busy.Add(-1)
}

// close ends every wait with KindClosed, and lets nobody join any more.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for w := range l.all { // order-free: each is told the same
		l.out(w)
		w.done <- served{err: errNotServing}
	}
}

var errNotServing = &Error{Kind: KindClosed, Text: "usher stops serving"}

// poolChanged gives every class its accounts of the current world, then serves all that has room.
func (l *line) poolChanged() {
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
	l.serveAll(WokenByPoolChange)
}

// serveAll serves every account that somebody waits for.
func (l *line) serveAll(why WakeReason) {
	set := l.s.registry.current.Load().set
	for i := range set.Len() {
		if ordinal := int32(set.At(i).Ordinal); l.queue.Wanted(ordinal) {
			l.serve(ordinal, why)
		}
	}
}

// classFor gives the class of a Select that waits; bound is blank unless it waits for one account.
func classFor(q pool.Query, excluded []string, bound string) class {
	if bound != "" {
		return class{bound: bound}
	}
	key := class{query: q}
	if len(excluded) > 0 {
		sorted := slices.Clone(excluded)
		slices.Sort(sorted)
		key.excluded = strings.Join(slices.Compact(sorted), "\x00")
	}
	return key
}

// accountsOf gives the ordinals that may serve a class if time and load allow.
func (w *world) accountsOf(key class) []int32 {
	if key.bound != "" {
		if a, ok := w.set.Lookup(key.bound); ok {
			return []int32{int32(a.Ordinal)}
		}
		return nil
	}
	view := w.view(key.query)
	if key.excluded == "" {
		return view.Ordinals()
	}
	excluded := strings.Split(key.excluded, "\x00")
	var out []int32
	for i, ordinal := range view.Ordinals() {
		if !slices.Contains(excluded, view.Account(i).ID) {
			out = append(out, ordinal)
		}
	}
	return out
}
