package storetest

import (
	"context"
	"strings"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// Mutant is a store with one fault, and the check that is meant to find it.
type Mutant struct {
	Name  string
	Meant string
	// Plant puts the fault into a store that passes.
	Plant func(core.Store) core.Store
}

// forever is a life that no check outlives.
const forever = 1000 * time.Hour

// Mutants gives the faults that the suite must find, in any store.
func Mutants() []Mutant { return append(takingMutants(), ownerMutants()...) }

// PeerMutants gives those that are found where the harness has peers.
func PeerMutants() []Mutant {
	return []Mutant{
		{"statistics never end", "sharing/ends_exactly_at_its_time", func(s core.Store) core.Store { return &lasting{s} }},
		{"statistics of others are not heard", "sharing/peers_hear_what_was_put", func(s core.Store) core.Store { return &deaf{s} }},
		{"owners are heard for ever", "hearing/ends_exactly_at_its_time", func(s core.Store) core.Store { return &lastingEar{s} }},
		{"who heard last has the stream", "hearing/younger_stream_counts", func(s core.Store) core.Store { return &ageless{s} }},
		{"asking is hearing", "hearing/last_is_told_of_to_others", func(s core.Store) core.Store { return &askHears{s} }},
		{"incarnations are heard as one", "hearing/each_incarnation_by_itself", func(s core.Store) core.Store { return &sameLife{s} }},
	}
}

// HandoverMutants gives those that are found where the harness says that the store keeps what comes free.
func HandoverMutants() []Mutant {
	return []Mutant{
		{"newcomers pass the line", "handover/is_for_those_in_line", taking(func(g *core.Grant) { g.InLine = true })},
		{"sessions pass the line", "handover/of_bound_accounts", bounding(func(t *core.BoundTake) { t.Grant.InLine = true }, nil)},
		{"those in line find what newcomers do", "handover/is_for_those_in_line", taking(func(g *core.Grant) { g.InLine = false })},
		{"who left the line waits", "handover/only_while_somebody_waits", joining(func(w *core.Waiter) { w.TTL = forever })},
	}
}

func takingMutants() []Mutant {
	return []Mutant{
		{"limit off by one", "take/never_above_the_limit", func(s core.Store) core.Store { return &limitOff{s} }},
		{"no expiry", "expiry/ends_at_exactly_its_deadline", taking(func(g *core.Grant) { g.TTL = forever })},
		{"expiry a little late", "expiry/ends_at_exactly_its_deadline", taking(func(g *core.Grant) { g.TTL += instant })},
		{"double release frees twice", "settle/finished_frees_once", func(s core.Store) core.Store { return freesTwice{&recording{Store: s}} }},
		{"binding without a life", "binding/ends_exactly_at_its_time", bounding(func(t *core.BoundTake) {
			t.SessionTTL, t.ResponseTTL = forever, forever
		}, func(t *core.FirstTake) { t.SessionTTL = forever })},
		{"request id ignored", "repeat/request_id_finds_its_lease", taking(func(g *core.Grant) { g.Request = core.RequestKey{} })},
		{"not_after ignored", "take/not_after", taking(func(g *core.Grant) { g.NotAfter = time.Time{} })},
		{"tenant cap ignored", "take/tenant_cap", taking(func(g *core.Grant) { g.TenantCap = 0 })},
		{"every take a new lease", "repeat/same_lease_id_takes_one_slot", func(s core.Store) core.Store { return &newIDs{Store: s} }},
		{"drop is not dropped", "fate/drop_removes_the_binding", bounding(func(t *core.BoundTake) { t.Judge = softened{t.Judge} }, nil)},
		{"dry run takes", "dry/looks_without_taking", bounding(func(t *core.BoundTake) { t.DryRun = false }, nil)},
		{"session asked though the response has an owner", "binding/response_alone", bounding(func(t *core.BoundTake) { t.ResponseAlone = false }, nil)},
		{"session waits though it may spill", "binding/session_full_spills", bounding(func(t *core.BoundTake) { t.SpillSession = false }, nil)},
		{"no loads with a take", "binding/loads_on_request", bounding(func(t *core.BoundTake) { t.AlwaysLoads = false }, nil)},
		{"sticky take renews nothing", "binding/session_hit", func(s core.Store) core.Store { return &stale{s} }},
		{"full take renews the response", "binding/response_full", func(s core.Store) core.Store { return fullRenews{&recording{Store: s}} }},
		{"take binds nothing", "binding/take_first_binds_over_any", bounding(nil, func(t *core.FirstTake) { t.Session = core.BindingKey{} })},
		{"substitute takes the binding", "substitute/leaves_the_binding_alone", bounding(nil, func(t *core.FirstTake) { t.Substitute = false })},
		{"names end at a zero byte", "names/are_anybodys_bytes", taking(func(g *core.Grant) { g.Tenant, _, _ = strings.Cut(g.Tenant, "\x00") })},
		{"order ignored", "take/first_with_room_in_order", func(s core.Store) core.Store { return &lastFirst{s} }},
		{"many probes", "take/one_probe_at_a_time", func(s core.Store) core.Store { return &manyProbes{s} }},
		{"whole load rates", "base/loads_are_exact_and_in_the_asked_order", func(s core.Store) core.Store { return &truncated{s} }},
		{"register frees all", "base/limits_change_and_in_use_stays", func(s core.Store) core.Store { return forgetful{&recording{Store: s}} }},
		{"withdrawing releases", "repeat/withdrawn_takes_back_one_handing_out", settling(func(e *core.Settlement) {
			if e.Kind == core.SettleWithdrawn {
				e.Kind = core.SettleUnused
			}
		}, nil)},
		{"unused counts", "settle/unused_frees_once_and_nothing_counts", settling(func(e *core.Settlement) {
			if e.Kind == core.SettleUnused {
				e.Kind = core.SettleFinished
			}
		}, nil)},
		{"every sample counts", "settle/sample_counts_once_per_lease", settling(nil, func(e *core.Settlement, r *core.Settled) {
			r.SampleCounts = e.Sample
		})},
		{"any age is believed", "ended/not_known_and_old_is_unknown", func(s core.Store) core.Store { return credulous{&recording{Store: s}} }},
		{"release before the take is lost", "repeat/release_before_the_take", settling(func(e *core.Settlement) {
			if e.Lease == (core.LeaseID{}) {
				e.Request[15] ^= 1
			}
		}, nil)},
		{"last deadline stands", "cooldown/later_deadline_stands", func(s core.Store) core.Store { return &lastCools{s} }},
		{"any deadline is removed", "cooldown/warm", func(s core.Store) core.Store { return &allWarms{s} }},
		{"nothing is kept", "cooldown/stands_while_kept", func(s core.Store) core.Store { return &keepsNone{s} }},
		{"own statistics are answered", "sharing/own_is_not_answered", func(s core.Store) core.Store { return &echoing{s} }},
		{"waiter caps ignored", "line/caps", joining(func(w *core.Waiter) { w.AccountCap, w.TenantCap = 0, 0 })},
		{"waiters never end", "line/waiters_end_by_themselves", joining(func(w *core.Waiter) { w.TTL = forever })},
		{"moving does nothing", "line/move", func(s core.Store) core.Store { return &unmoved{s} }},
		{"answered ids are not found", "line/answered_request_ids", func(s core.Store) core.Store { return &unaware{s} }},
		{"closed is open", "base/closed_grants_nothing", func(s core.Store) core.Store { return &opened{s} }},
		{"no signals", "signal/freed_by_release", func(s core.Store) core.Store { return &silent{s} }},
		{"sweep tells of nothing", "expiry/sweep_tells_each_lease_once", func(s core.Store) core.Store { return &tacit{s} }},
		{"sweep names no end", "expiry/sweep_names_the_next_end", func(s core.Store) core.Store { return &aimless{s} }},
	}
}

// tampered hands every take, settlement and waiter through functions, each of which may be nil.
type tampered struct {
	core.Store
	grant   func(*core.Grant)
	bound   func(*core.BoundTake)
	first   func(*core.FirstTake)
	event   func(*core.Settlement)
	settled func(*core.Settlement, *core.Settled)
	waiter  func(*core.Waiter)
}

func taking(change func(*core.Grant)) func(core.Store) core.Store {
	return func(s core.Store) core.Store { return &tampered{Store: s, grant: change} }
}

func bounding(bound func(*core.BoundTake), first func(*core.FirstTake)) func(core.Store) core.Store {
	return func(s core.Store) core.Store { return &tampered{Store: s, bound: bound, first: first} }
}

func settling(event func(*core.Settlement), settled func(*core.Settlement, *core.Settled)) func(core.Store) core.Store {
	return func(s core.Store) core.Store { return &tampered{Store: s, event: event, settled: settled} }
}

func joining(change func(*core.Waiter)) func(core.Store) core.Store {
	return func(s core.Store) core.Store { return &tampered{Store: s, waiter: change} }
}

// TakeBound hands the take through.
func (m *tampered) TakeBound(ctx context.Context, take *core.BoundTake) (core.BoundTaken, error) {
	t := *take
	if m.grant != nil {
		m.grant(&t.Grant)
	}
	if m.bound != nil {
		m.bound(&t)
	}
	return m.Store.TakeBound(ctx, &t)
}

// TakeFirst hands the take through.
func (m *tampered) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	t := *take
	if m.grant != nil {
		m.grant(&t.Grant)
	}
	if m.first != nil {
		m.first(&t)
	}
	return m.Store.TakeFirst(ctx, &t)
}

// Settle hands the events through.
func (m *tampered) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	changed := append([]core.Settlement(nil), events...)
	for i := range changed {
		if m.event != nil {
			m.event(&changed[i])
		}
	}
	err := m.Store.Settle(ctx, changed, results)
	for i := range results {
		if m.settled != nil {
			m.settled(&events[i], &results[i])
		}
	}
	return err
}

// Join hands the waiter through.
func (m *tampered) Join(ctx context.Context, waiter *core.Waiter) (core.Joined, error) {
	w := *waiter
	if m.waiter != nil {
		m.waiter(&w)
	}
	return m.Store.Join(ctx, &w)
}

// softened keeps what should be dropped.
type softened struct{ judge core.Judge }

// Judge softens the verdict.
func (j softened) Judge(layer decide.Layer, account string) decide.Fate {
	if fate := j.judge.Judge(layer, account); fate != decide.Drop {
		return fate
	}
	return decide.Keep
}

// Fates softens the verdicts.
func (j softened) Fates(accounts []string, fates []core.Fates) {
	j.judge.Fates(accounts, fates)
	for i := range fates {
		f := &fates[i]
		for _, fate := range [...]*decide.Fate{&f.Response, &f.Session, &f.Substitute} {
			if *fate == decide.Drop {
				*fate = decide.Keep
			}
		}
	}
}

// Standing implements core.Judge.
func (j softened) Standing() (core.Standing, bool) { return core.Standing{}, false }
