package storetest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"usher.internal/core"
)

// ownerMutants are faults in what the leases of an owner need together.
func ownerMutants() []Mutant {
	return []Mutant{
		{"leases of one incarnation only", "owner/leases_of_all_incarnations_and_of_nobody_else", func(s core.Store) core.Store { return &oneLife{s} }},
		{"leases of owners whose name begins alike", "owner/leases_of_all_incarnations_and_of_nobody_else", func(s core.Store) core.Store { return &alike{s} }},
		{"ended leases are listed", "owner/leases_of_leaves_out_what_ended", func(s core.Store) core.Store { return &keepsListing{recording: &recording{Store: s}} }},
		{"end frees nothing", "owner/end_frees_once_and_a_finish_counts_once", func(s core.Store) core.Store { return endsNothing{&recording{Store: s}} }},
		{"end releases", "owner/end_frees_once_and_a_finish_counts_once", func(s core.Store) core.Store { return endReleases{&recording{Store: s}} }},
		{"end answers what was asked", "owner/end_answers_what_it_ended", func(s core.Store) core.Store { return endsAll{&recording{Store: s}} }},
		{"end marks the request id", "owner/end_lets_the_request_id_take_anew", func(s core.Store) core.Store { return &endMarks{Store: s} }},
		{"sweep tells of ends", "owner/sweep_does_not_tell_of_an_end", func(s core.Store) core.Store { return &tellsTwice{Store: s} }},
		{"how it ended is lost", "owner/renewal_tells_how_it_ended", adopting(nil, func(r *core.Renewed) { r.End = 0 })},
		{"owners are heard elsewhere", "hearing/own_is_not_elsewhere", func(s core.Store) core.Store { return &ghosts{s} }},
		{"adopts nothing", "owner/adopt_takes_up_what_is_not_known", func(s core.Store) core.Store { return &adoptsNothing{s} }},
		{"adopts only where there is room", "owner/adopt_goes_over_the_limit", func(s core.Store) core.Store { return &adoptsBelow{Store: s} }},
		{"adopts what was released", "owner/adopt_takes_nothing_that_left_a_mark", func(s core.Store) core.Store { return &readopts{Store: s} }},
		{"what has reported stays ended", "owner/adopt_takes_up_what_has_reported", func(s core.Store) core.Store { return &believesReports{Store: s} }},
		{"every adoption a new lease", "owner/adopt_twice_takes_one_slot", func(s core.Store) core.Store { return &newAdoptions{Store: s} }},
		{"adopting takes a lease from its owner", "owner/adopt_renews_what_lives", func(s core.Store) core.Store { return robs{&recording{Store: s}} }},
		{"adopting renews whatever is left", "owner/adopt_of_what_has_some_life_left_renews_nothing", adopting(func(a *core.Adoption) { a.Left = 0 }, nil)},
		{"what is left is all there is", "owner/adopt_of_what_has_some_life_left_renews_nothing", adopting(func(a *core.Adoption) {
			if a.Left > 0 {
				a.TTL = a.Left
			}
		}, nil)},
		{"any future is believed", "owner/adopt_of_a_grant_in_the_future", adopting(func(a *core.Adoption) {
			a.Lease.GrantedAt = a.Lease.GrantedAt.Add(-forever)
		}, nil)},
		{"max age of adoptions ignored", "owner/max_age_bounds_a_lease_that_is_taken_up", adopting(func(a *core.Adoption) { a.MaxAge = 0 }, nil)},
		{"own life is forever", "expiry/renew_gives_its_own_life_again", renewing(func(r *core.Renewal) {
			if r.TTL == 0 {
				r.TTL = forever
			}
		})},
		{"max age ignored", "expiry/max_age_bounds_renewals", renewing(func(r *core.Renewal) { r.MaxAge = 0 })},
		{"max age is for those that have time", "expiry/max_age_that_has_passed_ends", renewing(func(r *core.Renewal) { r.MaxAge *= 2 })},
	}
}

// oneLife lists the leases of the incarnation that it meets first.
type oneLife struct{ core.Store }

// LeasesOf leaves the other incarnations out.
func (m *oneLife) LeasesOf(ctx context.Context, name string) ([]core.Lease, error) {
	list, err := m.Store.LeasesOf(ctx, name)
	return slices.DeleteFunc(list, func(l core.Lease) bool { return l.Owner != list[0].Owner }), err
}

// alike lists the leases of an owner with a longer name too.
type alike struct{ core.Store }

// LeasesOf adds those of one such owner.
func (m *alike) LeasesOf(ctx context.Context, name string) ([]core.Lease, error) {
	list, err := m.Store.LeasesOf(ctx, name)
	if err != nil {
		return nil, err
	}
	more, err := m.Store.LeasesOf(ctx, name+"2")
	return append(list, more...), err
}

// keepsListing lists what was granted, whatever came of it.
type keepsListing struct{ *recording }

// LeasesOf lists from memory.
func (m *keepsListing) LeasesOf(_ context.Context, name string) ([]core.Lease, error) {
	return slices.DeleteFunc(m.leases(), func(l core.Lease) bool { return l.Owner.Name != name }), nil
}

// endsNothing says that it ended what it was asked to.
type endsNothing struct{ *recording }

// End only answers.
func (m endsNothing) End(_ context.Context, ids []core.LeaseID, _ core.LeaseEnd) ([]core.Lease, error) {
	return slices.DeleteFunc(m.leases(), func(l core.Lease) bool { return !slices.Contains(ids, l.ID) }), nil
}

// endReleases ends leases as their owners would.
type endReleases struct{ *recording }

// End releases.
func (m endReleases) End(ctx context.Context, ids []core.LeaseID, _ core.LeaseEnd) (ended []core.Lease, err error) {
	for _, l := range m.leases() {
		if slices.Contains(ids, l.ID) {
			ended = append(ended, l)
			err = m.Settle(ctx, []core.Settlement{of(l, core.SettleUnused)}, make([]core.Settled, 1))
		}
	}
	return ended, err
}

// endsAll says that it ended all that it knows.
type endsAll struct{ *recording }

// End answers with what had ended before too.
func (m endsAll) End(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) ([]core.Lease, error) {
	_, err := m.Store.End(ctx, ids, how)
	return slices.DeleteFunc(m.leases(), func(l core.Lease) bool { return !slices.Contains(ids, l.ID) }), err
}

// endMarks marks the request ids of what it ends. Only the last lease's is known to it.
type endMarks struct {
	core.Store
	request core.RequestKey
}

// TakeFirst remembers the request id.
func (m *endMarks) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	if take.Grant.Request != (core.RequestKey{}) {
		m.request = take.Grant.Request
	}
	return m.Store.TakeFirst(ctx, take)
}

// End releases by request id besides.
func (m *endMarks) End(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) ([]core.Lease, error) {
	ended, err := m.Store.End(ctx, ids, how)
	_ = m.Settle(ctx, []core.Settlement{{Kind: core.SettleUnused, Request: m.request}}, make([]core.Settled, 1))
	return ended, err
}

// tellsTwice tells of every end in a sweep besides.
type tellsTwice struct {
	core.Store
	ended []core.Lease
}

// End remembers what it ended.
func (m *tellsTwice) End(ctx context.Context, ids []core.LeaseID, how core.LeaseEnd) ([]core.Lease, error) {
	ended, err := m.Store.End(ctx, ids, how)
	m.ended = append(m.ended, ended...)
	return ended, err
}

// Sweep tells of it.
func (m *tellsTwice) Sweep(ctx context.Context, limit int) (core.Swept, error) {
	out, err := m.Store.Sweep(ctx, limit)
	out.Expired = append(out.Expired, m.ended...)
	m.ended = nil
	return out, err
}

// adoptsNothing knows no lease to take up.
type adoptsNothing struct{ core.Store }

// Adopt answers as if all had been taken up.
func (*adoptsNothing) Adopt(_ context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	for i := range adoptions {
		results[i] = core.Adopted{Renewed: core.Renewed{Status: core.EventApplied}, Taken: true}
	}
	return nil
}

// adoptsBelow keeps to the limits.
type adoptsBelow struct{ core.Store }

// Adopt ends at once what was too much.
func (m *adoptsBelow) Adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	err := m.Store.Adopt(ctx, adoptions, results)
	for i := range results {
		if results[i].Overcommitted {
			_, _ = m.End(ctx, []core.LeaseID{adoptions[i].Lease.ID}, core.LeaseEndOperator)
		}
	}
	return err
}

// readopts takes up again under another id what has left a mark.
type readopts struct {
	core.Store
	count atomic.Int32
}

// Adopt tries once more.
func (m *readopts) Adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	err := m.Store.Adopt(ctx, adoptions, results)
	for i := range results {
		if results[i].Status == core.EventAlreadyReleased || results[i].Status == core.EventExpired {
			again := adoptions[i]
			again.Lease.ID[1] = byte(m.count.Add(1))
			_ = m.Store.Adopt(ctx, []core.Adoption{again}, results[i:i+1])
		}
	}
	return err
}

// believesReports takes a lease that is not known, and reports, for one that has ended.
type believesReports struct {
	core.Store
	// mu guards ended.
	mu    sync.Mutex
	ended map[core.LeaseID]bool
}

// Settle remembers what was not known.
func (m *believesReports) Settle(ctx context.Context, events []core.Settlement, results []core.Settled) error {
	err := m.Store.Settle(ctx, events, results)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range results {
		if results[i].Status == core.EventExpired {
			if m.ended == nil {
				m.ended = make(map[core.LeaseID]bool)
			}
			m.ended[events[i].Lease] = true
		}
	}
	return err
}

// Adopt leaves those out.
func (m *believesReports) Adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range adoptions {
		if m.ended[adoptions[i].Lease.ID] {
			results[i] = core.Adopted{Renewed: core.Renewed{Status: core.EventExpired}}
			continue
		}
		if err := m.Store.Adopt(ctx, adoptions[i:i+1], results[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// newAdoptions takes up a new lease each time.
type newAdoptions struct {
	core.Store
	count atomic.Int32
}

// Adopt gives the leases other ids.
func (m *newAdoptions) Adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	changed := slices.Clone(adoptions)
	for i := range changed {
		changed[i].Lease.ID[1] = byte(m.count.Add(1))
	}
	return m.Store.Adopt(ctx, changed, results)
}

// robs gives a lease that lives to whoever asks for it.
type robs struct{ *recording }

// LeasesOf leaves out what others have asked for.
func (m robs) LeasesOf(ctx context.Context, name string) ([]core.Lease, error) {
	list, err := m.Store.LeasesOf(ctx, name)
	if name != gateway.Name {
		return nil, err
	}
	return list, err
}

// adopting hands adoptions and what renewals and they were answered through functions, each of which may be nil.
func adopting(change func(*core.Adoption), answer func(*core.Renewed)) func(core.Store) core.Store {
	return func(s core.Store) core.Store { return &altered{Store: s, adoption: change, answer: answer} }
}

func renewing(change func(*core.Renewal)) func(core.Store) core.Store {
	return func(s core.Store) core.Store { return &altered{Store: s, renewal: change} }
}

type altered struct {
	core.Store
	adoption func(*core.Adoption)
	renewal  func(*core.Renewal)
	answer   func(*core.Renewed)
}

// Adopt hands the adoptions through.
func (m *altered) Adopt(ctx context.Context, adoptions []core.Adoption, results []core.Adopted) error {
	changed := slices.Clone(adoptions)
	for i := range changed {
		if m.adoption != nil {
			m.adoption(&changed[i])
		}
	}
	err := m.Store.Adopt(ctx, changed, results)
	for i := range results {
		if m.answer != nil {
			m.answer(&results[i].Renewed)
		}
	}
	return err
}

// Renew hands the renewals through.
func (m *altered) Renew(ctx context.Context, renewals []core.Renewal, results []core.Renewed) error {
	changed := slices.Clone(renewals)
	for i := range changed {
		if m.renewal != nil {
			m.renewal(&changed[i])
		}
	}
	err := m.Store.Renew(ctx, changed, results)
	for i := range results {
		if m.answer != nil {
			m.answer(&results[i])
		}
	}
	return err
}
