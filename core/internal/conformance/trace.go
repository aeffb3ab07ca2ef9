package conformance

import "strings"

// Trace follows a record by its inputs and recorded results alone: it is what
// tells where a departure applies, so it shares no code with what is tested.
// Times are milliseconds since the record's start.
type Trace struct {
	world    *World
	config   Config
	now      int64
	accounts map[string]*traced
	sessions map[string]bound // by group and name
	shared   map[string]bound
	local    map[string]bound // by name
	released map[int]bool     // by the index of the select
}

type traced struct {
	*Account
	inUse         int32
	unschedulable bool
}

type bound struct {
	account string
	until   int64
}

// NewTrace starts at a world's beginning.
func NewTrace(w *World) *Trace {
	t := &Trace{
		world: w, accounts: map[string]*traced{},
		sessions: map[string]bound{}, shared: map[string]bound{}, local: map[string]bound{},
		released: map[int]bool{},
	}
	if w.Config != nil {
		t.config = *w.Config
	}
	for i := range w.Accounts {
		a := &w.Accounts[i]
		t.accounts[a.ID] = &traced{Account: a, inUse: a.InUse, unschedulable: !or(a.Schedulable, true)}
	}
	for _, b := range w.SessionBindings {
		t.sessions[inGroup(b.GroupID, b.SessionHash)] = bound{b.AccountID, b.TTLMS}
	}
	for _, b := range w.ResponseBindingsShared {
		t.shared[inGroup(b.GroupID, b.ResponseID)] = bound{b.AccountID, b.TTLMS}
	}
	for _, b := range w.ResponseBindingsLocal {
		t.local[b.ResponseID] = bound{b.AccountID, b.TTLMS}
	}
	return t
}

// inGroup gives a binding's key: no group and group 0 share a namespace.
func inGroup(group *string, name string) string {
	if id := or(group, "0"); id != "0" {
		return id + "/" + name
	}
	return "/" + name
}

func (t *Trace) sessionTTL() int64  { return ttl(t.config.SessionTTLSeconds).Milliseconds() }
func (t *Trace) responseTTL() int64 { return ttl(t.config.ResponseTTLSeconds).Milliseconds() }

// responseBound gives the account that a request's response is bound to, "" for none.
func (t *Trace) responseBound(q *Request) string {
	id := strings.TrimSpace(q.ResponseID)
	if id == "" {
		return ""
	}
	if b, ok := t.local[id]; ok && t.now < b.until {
		return b.account
	}
	if b, ok := t.shared[inGroup(q.GroupID, id)]; ok && t.now < b.until && !t.world.StickyCacheDisabled {
		return b.account
	}
	return ""
}

func (t *Trace) sessionBound(q *Request) string {
	hash := strings.TrimSpace(q.SessionHash)
	if b, ok := t.sessions[inGroup(q.GroupID, hash)]; ok && hash != "" && t.now < b.until && !t.world.StickyCacheDisabled {
		return b.account
	}
	return ""
}

func (t *Trace) bindSession(q *Request, account string) {
	if hash := strings.TrimSpace(q.SessionHash); hash != "" {
		t.sessions[inGroup(q.GroupID, hash)] = bound{account, t.now + t.sessionTTL()}
	}
}

func (t *Trace) bindResponse(group *string, id, account string, ttl int64) {
	t.local[id] = bound{account, t.now + ttl}
	t.shared[inGroup(group, id)] = bound{account, t.now + ttl}
}

// Selected takes a recorded Select in, after Departure was asked about it.
func (t *Trace) Selected(q *Request, r *Result) {
	if r.Decision.Layer != "previous_response_id" {
		t.dropUnfit(q)
	}
	if r.AccountID == nil {
		return
	}
	switch r.Decision.Layer {
	case "previous_response_id":
		t.bindSession(q, *r.AccountID)
		if r.Acquired {
			t.bindResponse(q.GroupID, strings.TrimSpace(q.ResponseID), *r.AccountID, t.responseTTL())
		}
	default:
		if r.Acquired {
			t.bindSession(q, *r.AccountID)
		}
	}
	if a := t.accounts[*r.AccountID]; r.Acquired && a.MaxConcurrency > 0 && !t.world.ConcurrencyDisabled {
		a.inUse++
	}
}

// dropUnfit forgets the bindings that the recorded layers drop.
func (t *Trace) dropUnfit(q *Request) {
	if id := t.responseBound(q); id != "" && t.row(q, id, true) == rowDrop {
		delete(t.local, strings.TrimSpace(q.ResponseID))
		delete(t.shared, inGroup(q.GroupID, strings.TrimSpace(q.ResponseID)))
	}
	if id := t.sessionBound(q); id != "" && t.row(q, id, false) == rowDrop {
		delete(t.sessions, inGroup(q.GroupID, strings.TrimSpace(q.SessionHash)))
	}
}

// Apply takes any other operation in; released is the result of the select that a release names.
func (t *Trace) Apply(op *Op, released *Result) {
	switch op.Op {
	case OpRelease:
		if !released.Acquired || t.released[op.SelectOp] {
			return
		}
		t.released[op.SelectOp] = true
		if a := t.accounts[*released.AccountID]; a.MaxConcurrency > 0 && !t.world.ConcurrencyDisabled {
			a.inUse--
		}
	case OpBindResponse:
		if id := strings.TrimSpace(op.ResponseID); id != "" && Positive(op.AccountID) {
			t.bindResponse(op.GroupID, id, op.AccountID, BindTTL(op))
		}
	case OpSetSchedulable:
		if a := t.accounts[op.AccountID]; a != nil {
			a.unschedulable = !op.Value
		}
	case OpAdvance:
		t.now += op.AdvanceMS
	}
}

// Positive tells whether a recorded account id is above 0; others are ignored.
func Positive(id string) bool { return id != "" && id != "0" && id[0] != '-' }

// BindTTL gives a bind_response's life in milliseconds.
func BindTTL(op *Op) int64 {
	if op.TTLMS > 0 {
		return op.TTLMS
	}
	return 3600_000
}
