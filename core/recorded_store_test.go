package core

import (
	"context"
	"errors"
	"slices"
	"time"

	"usher.internal/core/decide"
	"usher.internal/core/internal/conformance"
)

// recordedStore is the store as the recorded cases have it: load rates cut to
// integers, and the response table in two levels, of which the process's own is
// not keyed by group. It serves one thread; what no case needs fails.
type recordedStore struct {
	Cooldowns
	Owners
	Sharing
	Directory
	now      time.Time
	limits   []int
	ids      []string
	ordinals map[string]int
	inUse    []int32
	waiting  []int32
	// uncounted: no slot service, so that every take succeeds and loads are 0.
	uncounted bool
	// sessionless: no session stickiness and no shared response table.
	sessionless bool
	keys        map[BindingKey]recordedKey
	sessions    map[recordedKey]recordedBinding
	shared      map[recordedKey]recordedBinding
	local       map[string]recordedBinding
	leases      map[LeaseID]int
	// unfindable accounts are unknown to a look-up by id; excluded are the request's, which come first.
	unfindable, excluded []string
}

// recordedKey is what a binding key was made of.
type recordedKey struct {
	group conformanceGroup
	name  string
}

type conformanceGroup struct {
	id   string
	none bool
}

type recordedBinding struct {
	account string
	until   time.Time
}

var errNotRecorded = errors.New("no recorded case needs this")

func newRecordedStore(w *conformance.World, now time.Time) *recordedStore {
	s := &recordedStore{
		now: now, uncounted: w.ConcurrencyDisabled, sessionless: w.StickyCacheDisabled,
		ordinals: map[string]int{}, keys: map[BindingKey]recordedKey{},
		sessions: map[recordedKey]recordedBinding{}, shared: map[recordedKey]recordedBinding{},
		local: map[string]recordedBinding{}, leases: map[LeaseID]int{}, unfindable: w.Faults.LookupErrorAccountIDs,
	}
	for i := range w.Accounts {
		a := &w.Accounts[i]
		s.inUse, s.waiting = append(s.inUse, a.InUse), append(s.waiting, a.Waiting)
	}
	for _, b := range w.SessionBindings {
		s.sessions[s.know(keySession, b.GroupID, b.SessionHash)] = recordedBinding{b.AccountID, s.after(b.TTLMS)}
	}
	for _, b := range w.ResponseBindingsShared {
		s.shared[s.know(keyResponse, b.GroupID, b.ResponseID)] = recordedBinding{b.AccountID, s.after(b.TTLMS)}
	}
	for _, b := range w.ResponseBindingsLocal {
		s.local[b.ResponseID] = recordedBinding{b.AccountID, s.after(b.TTLMS)}
	}
	return s
}

func (s *recordedStore) after(ms int64) time.Time {
	return s.now.Add(time.Duration(ms) * time.Millisecond)
}

// know remembers what a key stands for.
func (s *recordedStore) know(kind byte, group *string, name string) recordedKey {
	// No group and group 0 share a namespace of bindings.
	k := recordedKey{conformanceGroup{conformance.Group(group), group == nil}, name}
	if k.group.id == "0" {
		k.group = conformanceGroup{none: true}
	}
	s.keys[bindingKey(kind, "", conformance.Group(group), name)] = k
	return k
}

func (s *recordedStore) live(b recordedBinding, ok bool) (string, bool) {
	return b.account, ok && s.now.Before(b.until)
}

func (s *recordedStore) response(key BindingKey) (string, bool) {
	k, ok := s.keys[key]
	if !ok {
		return "", false
	}
	b, ok := s.local[k.name]
	if account, live := s.live(b, ok); live {
		return account, true
	}
	if s.sessionless {
		return "", false
	}
	b, ok = s.shared[k]
	return s.live(b, ok)
}

func (s *recordedStore) bindResponse(key BindingKey, account string, ttl time.Duration) {
	k := s.keys[key]
	s.local[k.name] = recordedBinding{account, s.now.Add(ttl)}
	if !s.sessionless {
		s.shared[k] = recordedBinding{account, s.now.Add(ttl)}
	}
}

func (s *recordedStore) bindSession(key BindingKey, account string, ttl time.Duration) {
	if key != (BindingKey{}) && !s.sessionless {
		s.sessions[s.keys[key]] = recordedBinding{account, s.now.Add(ttl)}
	}
}

func (s *recordedStore) room(ordinal int) bool {
	return s.uncounted || s.limits[ordinal] <= 0 || s.inUse[ordinal] < int32(s.limits[ordinal])
}

func (s *recordedStore) grant(g *Grant, ordinal int) Lease {
	if !s.uncounted && s.limits[ordinal] > 0 {
		s.inUse[ordinal]++
		s.leases[g.ID] = ordinal
	}
	return Lease{ID: g.ID, Account: s.ids[ordinal], Group: g.Group, Model: g.Model, GrantedAt: s.now, ExpiresAt: s.now.Add(g.TTL)}
}

func (s *recordedStore) TakeBound(_ context.Context, take *BoundTake) (BoundTaken, error) {
	var out BoundTaken
	if account, ok := s.response(take.Response); ok {
		out.Response = Binding{Account: account, Fate: s.judge(take, decide.LayerResponse, account)}
		switch out.Response.Fate {
		case decide.Take:
			s.bindSession(take.Session, account, take.SessionTTL)
			if s.serve(take, &out, &out.Response, decide.LayerResponse); out.Status == BoundTook {
				s.bindResponse(take.Response, account, take.ResponseTTL)
			}
			return out, nil
		case decide.Drop:
			k := s.keys[take.Response]
			delete(s.local, k.name)
			delete(s.shared, k)
		case decide.Keep, decide.Probe:
		}
	}
	b, ok := s.sessions[s.keys[take.Session]]
	if account, live := s.live(b, ok); live && !s.sessionless {
		out.Session = Binding{Account: account, Fate: s.judge(take, decide.LayerSession, account)}
		switch out.Session.Fate {
		case decide.Take:
			if s.serve(take, &out, &out.Session, decide.LayerSession); out.Status == BoundTook {
				s.bindSession(take.Session, account, take.SessionTTL)
			}
			return out, nil
		case decide.Drop:
			delete(s.sessions, s.keys[take.Session])
		case decide.Keep, decide.Probe:
		}
	}
	return out, s.Loads(context.Background(), take.Ordinals, take.Loads)
}

func (s *recordedStore) judge(take *BoundTake, layer decide.Layer, account string) decide.Fate {
	if slices.Contains(s.unfindable, account) && !slices.Contains(s.excluded, account) {
		account = "unknown"
	}
	return take.Judge.Judge(layer, account)
}

// serve takes a slot of a bound account, or finds it full.
func (s *recordedStore) serve(take *BoundTake, out *BoundTaken, found *Binding, layer decide.Layer) {
	ordinal := s.ordinals[found.Account]
	out.Layer = layer
	if s.room(ordinal) {
		out.Status, out.Lease = BoundTook, s.grant(&take.Grant, ordinal)
		return
	}
	found.Full = true
	out.Status, out.Lease, out.Waiting = BoundFull, Lease{Account: found.Account}, int(s.waiting[ordinal])
}

func (s *recordedStore) TakeFirst(_ context.Context, take *FirstTake) (FirstTaken, error) {
	for i, choice := range take.Order {
		if s.room(int(choice.Ordinal)) {
			s.bindSession(take.Session, s.ids[choice.Ordinal], take.SessionTTL)
			return FirstTaken{Status: FirstTook, Index: i, Lease: s.grant(&take.Grant, int(choice.Ordinal))}, nil
		}
	}
	return FirstTaken{}, s.Loads(context.Background(), take.Ordinals, take.Loads)
}

func (s *recordedStore) Settle(_ context.Context, events []Settlement, results []Settled) error {
	for i, e := range events {
		ordinal, ok := s.leases[e.Lease]
		results[i] = Settled{Status: EventAlreadyReleased, Account: e.Account}
		if ok && e.Kind == SettleUnused {
			s.inUse[ordinal]--
			delete(s.leases, e.Lease)
			results[i].Status = EventApplied
		}
	}
	return nil
}

func (s *recordedStore) Loads(_ context.Context, ordinals []int32, loads []decide.Load) error {
	for i, o := range ordinals {
		loads[i] = decide.Load{}
		if s.uncounted {
			continue
		}
		loads[i].InUse, loads[i].Waiting = s.inUse[o], s.waiting[o]
		if limit := s.limits[o]; limit > 0 {
			loads[i].Rate = float64((int64(s.inUse[o]) + int64(s.waiting[o])) * 100 / int64(limit))
		}
	}
	return nil
}

func (s *recordedStore) Register(_ context.Context, r *Roster) error {
	s.limits, s.ids = s.limits[:0], s.ids[:0]
	for i, e := range r.Accounts {
		s.limits, s.ids = append(s.limits, e.Limit), append(s.ids, e.ID)
		s.ordinals[e.ID] = i
	}
	return nil
}

func (s *recordedStore) Secret(context.Context) ([]byte, error) { return make([]byte, 32), nil }
func (s *recordedStore) Close() error                           { return nil }

func (s *recordedStore) Renew(context.Context, []Renewal, []Renewed) error { return errNotRecorded }
func (s *recordedStore) Sweep(context.Context, int) (Swept, error)         { return Swept{}, nil }
func (s *recordedStore) Usage(context.Context, string) (Usage, error)      { return Usage{}, errNotRecorded }

func (s *recordedStore) Join(context.Context, *Waiter) (Joined, error) {
	return Joined{}, errNotRecorded
}
func (s *recordedStore) Move(context.Context, WaiterID, string) error   { return errNotRecorded }
func (s *recordedStore) Leave(context.Context, WaiterID) error          { return errNotRecorded }
func (s *recordedStore) Signals(context.Context) (<-chan Signal, error) { return nil, errNotRecorded }

func (s *recordedStore) Answered(context.Context, []RequestKey, []bool) error {
	return errNotRecorded
}

// state gives what stands, as the records write it.
func (s *recordedStore) state(w *conformance.World) conformance.State {
	out := conformance.State{InUse: map[string]int32{}}
	for i := range w.Accounts {
		out.InUse[w.Accounts[i].ID] = s.inUse[i]
	}
	for k, b := range s.sessions {
		if c, ok := s.recorded(k, b); ok {
			c.SessionHash = k.name
			out.SessionBindings = append(out.SessionBindings, c)
		}
	}
	for k, b := range s.shared {
		if c, ok := s.recorded(k, b); ok {
			c.ResponseID = k.name
			out.ResponseBindingsShared = append(out.ResponseBindingsShared, c)
		}
	}
	for id, b := range s.local {
		if c, ok := s.recorded(recordedKey{group: conformanceGroup{none: true}}, b); ok {
			c.ResponseID = id
			out.ResponseBindingsLocal = append(out.ResponseBindingsLocal, c)
		}
	}
	return out
}

func (s *recordedStore) recorded(k recordedKey, b recordedBinding) (conformance.Binding, bool) {
	c := conformance.Binding{AccountID: b.account, TTLMS: b.until.Sub(s.now).Milliseconds()}
	if !k.group.none {
		c.GroupID = &k.group.id
	}
	return c, s.now.Before(b.until)
}
