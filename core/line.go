package core

import (
	"context"
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
// newcomer cannot pass those who wait, and a freed slot is handed on before anybody else sees it. With a store that replicas share only
// the attendant does: newcomers and reports ask the store beside it, which keeps a freed slot for those who wait, for a moment.
type line struct {
	s *Scheduler
	// busy is above 0 from before the first waiter's last look at the loads until the last one left. Who
	// frees a slot reads it afterwards: either the waiter saw the slot, or the one who freed it sees the waiter. With a store that replicas
	// share it is from the joining on, and the attendant looks after that.
	busy atomic.Int32
	// mu guards what follows, and the run of each waiter in the queue.
	mu    sync.Mutex
	queue *queue.Line[class, *waiter]
	all   map[*waiter]struct{}
	// byRequest are those who wait under each request id: whatever answers one answers all.
	byRequest map[RequestKey][]*waiter
	// bySession are those who wait in each session.
	bySession map[BindingKey][]*waiter
	closed    bool
	// capped are tenants of whom somebody waits and who held as many slots as they may, with how many of those came free
	// since; at 0 the tenant is parked in the queue.
	capped    map[string]int
	paces     map[class]*pace
	grants    int // leases that waiters were given
	load      [1]decide.Load
	loads     []decide.Load // of one look
	wanted    []int32       // those that a look asks about
	lookedFor string        // the capped tenant with whom the next slow look begins
	// alarms are the deadlines of accounts, ends the first end of a lease.
	alarms alarms
	ends   nextEnd
	// sweepAt is when the next sweep may come that an end of a lease asks for, sweepPause what lay before it.
	sweepAt    time.Time
	sweepPause time.Duration
	// soon is when the line is looked over since a free slot was another replica's turn, in nanoseconds since the
	// scheduler's start; 0 is never.
	soon    atomic.Int64
	handing handing
	// kick tells the attendant that somebody waits, or for what it is to wake sooner.
	kick chan struct{}
}

// waiter is one Select in line.
type waiter struct {
	queue.Waiter[*waiter]
	run     *run
	id      WaiterID
	request RequestKey // zero without an id
	class   class
	account string
	// keeps is the account that its session is bound to, as far as this replica knows.
	keeps string
	// layer is the one whose plan it waits by.
	layer decide.Layer
	// bound is the account that it joined for alone, blank for any; capped says that it joined for a slot of its tenant's. refused is why
	// the store did not count it, and most the limit that this names.
	bound   string
	capped  bool
	refused JoinStatus
	most    int
	// limit is how long it waits at most, and until then when that is over.
	limit time.Duration
	until time.Time
	// estimate is what its place meant when its time was over.
	estimate time.Duration
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
	// WokenByExpiry means: a lease ended without its owner's doing.
	WokenByExpiry
	// WokenByCooldownEnd means: a deadline of an account passed.
	WokenByCooldownEnd
	// WokenByPoolChange means: an account was added or enabled, or a limit raised.
	WokenByPoolChange
	// WokenByPoll means: the slow look found room of which no signal told, or that another replica granted the request id a lease.
	WokenByPoll
)

func newLine(s *Scheduler, aging time.Duration) *line {
	return &line{
		s: s, queue: queue.New[class, *waiter](aging), all: make(map[*waiter]struct{}),
		byRequest: make(map[RequestKey][]*waiter), bySession: make(map[BindingKey][]*waiter), capped: make(map[string]int), kick: make(chan struct{}, 1),
		paces: make(map[class]*pace), alarms: newAlarms(),
	}
}

func (l *line) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// waits tells whether anybody may be in line.
func (l *line) waits() bool { return l.busy.Load() > 0 }

// step runs act, which may free slots or keep accounts away, then hands on what that changed. While anybody waits both are
// one step, so that no newcomer comes between; changed is asked only then. Where the store is a network away the attendant hands on:
// there the store keeps newcomers away for a moment, and nobody who frees a slot is kept waiting by those who wait.
func (l *line) step(act func() error, changed func() changes) error {
	locked := l.waits() && !l.s.shared
	if locked {
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	if err := act(); err != nil {
		return err
	}
	if !l.waits() && !locked {
		return nil
	}
	c := changed()
	if l.s.shared {
		l.note(&c)
		return nil
	}
	if !locked {
		// Somebody joined meanwhile, and may not have seen what this changed.
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	l.handOn(&c)
	return nil
}

// free serves an account of which a tenant gave a slot back, and the tenant wherever it may have one more. mu is held.
func (l *line) free(account, tenant string, why WakeReason) {
	l.uncap(tenant)
	l.serve(l.s.registry.ordinal(account), why)
	l.serveTenant(tenant, why)
}

// endedAtOnce serves the accounts of leases that ended at once without a release. mu is held.
func (l *line) endedAtOnce(leases []Lease) {
	for i := range leases {
		l.uncap(leases[i].Tenant)
	}
	for i := range leases {
		l.serve(l.s.registry.ordinal(leases[i].Account), WokenByExpiry)
	}
	for i := range leases {
		l.serveTenant(leases[i].Tenant, WokenByExpiry)
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
		if l.fits(account, w.Value) && (l.try(w.Value, why) || l.queue.Parked(w.Value.run.req.Tenant)) {
			continue
		}
		if !l.hasRoom(account) {
			return
		}
		if !l.serveOther(account, why) {
			if l.s.shared {
				l.lookSoon()
			}
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
	return l.eligible(w.at(account), &anyBound)
}

// anyBound is what every request of a conversation asks of its account.
var anyBound = decide.Fitness{Layer: decide.LayerSession}

// eligible tells that an account may serve, if but as a probe.
func (l *line) eligible(a *pool.Account, f *decide.Fitness) bool {
	reason, _ := decide.Eligible(a, l.s.colds.of(a.Ordinal), f, l.s.clock.Now())
	return reason == decide.None || reason == decide.Probing
}

// fits tells whether the account may serve the waiter now, whatever its load: as any other may, or as the one that its
// session is bound to. A full bound account is all that a sticky one waits for.
func (l *line) fits(account int32, w *waiter) bool {
	if w.class.bound != "" {
		return true
	}
	world := l.s.registry.current.Load()
	a := world.at(account)
	fitness := w.run.asked.Fitness(decide.LayerLoadBalance, world.policy)
	if l.eligible(a, &fitness) {
		return true
	}
	fitness = w.run.asked.Fitness(decide.LayerSession, world.policy)
	return w.keeps == a.ID && l.eligible(a, &fitness)
}

// serveOther looks behind a first waiter that cannot take the account's slot now, for a limit on its model. Who waits for
// the same is passed over without a try, unless the account serves none but its own sessions. It is true when the line has changed.
func (l *line) serveOther(account int32, why WakeReason) bool {
	changed, next := false, queue.SkipClass
	if w := l.s.registry.current.Load(); w.at(account).State == pool.Draining {
		next = queue.On
	}
	l.queue.Walk(account, func(w *queue.Waiter[*waiter]) queue.Step {
		waits, key, tenant := w.Value, w.Value.class, w.Value.run.req.Tenant
		if l.fits(account, waits) {
			changed = l.try(waits, why) || l.queue.Parked(tenant) || waits.class != key
		}
		if changed {
			return queue.Stop
		}
		return next
	})
	return changed
}

// try lets one waiter select anew over the pool; true when it is served and out of the line.
func (l *line) try(w *waiter, why WakeReason) bool {
	if _, waits := l.all[w]; !waits {
		return true // with another, whose lease or session it shares
	}
	ctx := context.Background()
	w.run.again()
	w.run.inLine = true
	lease, err := w.run.layers(ctx)
	nothing := err == nil && lease == nil
	if nothing && w.run.overCap() {
		if w.run.slotHelps(w.until) {
			l.cap(w.run.req.Tenant)
			return false
		}
		w.run.refuse(RefusedNoneEligible)
	}
	w.keep()
	if nothing {
		l.rebound(w.run, nil, why)
	}
	if err != nil && KindOf(err) == KindStoreUnavailable {
		return false
	}
	refused := nothing && w.inVain()
	if nothing && !refused {
		l.stays(w)
		return false
	}
	// What is told of it is copied: the run is the waiter's own again once it is answered.
	decision := w.run.decision
	if lease != nil && !decision.Repeated {
		l.queue.Grant(&w.Waiter)
		l.granted(w.class)
		l.took(w.run.req.Tenant)
	}
	l.out(w)
	if lease != nil {
		l.rebound(w.run, lease, why)
	}
	w.done <- served{lease: lease, err: err, woken: why, refused: refused}
	if lease != nil {
		l.answerAlike(w.request, &decision, why)
	}
	return true
}

// enter puts a waiter into its class, and gives its place; bound is blank unless it waits for one account. mu is held.
func (l *line) enter(w *waiter, bound string) (place int) {
	return l.queue.Join(&w.Waiter, l.ticket(w, bound))
}

// reenter puts a waiter into another class, where neither it nor its tenant loses its turn. mu is held.
func (l *line) reenter(w *waiter, bound string) {
	l.queue.Grant(&w.Waiter)
	l.queue.Return(&w.Waiter, l.ticket(w, bound))
}

func (l *line) ticket(w *waiter, bound string) queue.Ticket[class] {
	r := w.run
	w.class = classFor(r.asked.Query(), r.req.Excluded, bound)
	ticket := queue.Ticket[class]{
		Class: w.class, Tenant: r.req.Tenant, Priority: r.req.Priority, Arrived: r.began.Sub(l.s.started),
	}
	if l.queue.WaitingIn(w.class) == 0 {
		l.begins(w.class)
		ticket.Accounts = l.s.registry.current.Load().accountsOf(w.class)
	}
	return ticket
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
	if w.run.capped = l.queue.Parked(w.run.req.Tenant); !w.run.capped {
		w.estimate = l.estimate(w.class, w.run.line.JoinedAt)
	}
	l.out(w)
	return true
}

// out takes a waiter off the books. mu is held.
func (l *line) out(w *waiter) {
	l.queue.Leave(&w.Waiter) // of no effect after a grant
	delete(l.all, w)
	l.forget(w)
	if tenant := w.run.req.Tenant; len(l.capped) > 0 && l.queue.WaitingOf(tenant) == 0 {
		delete(l.capped, tenant)
	}
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
