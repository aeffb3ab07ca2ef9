package conformance

import (
	"slices"
	"strings"
)

// Departure is where usher departs from the record on purpose. Its zero value is none.
type Departure struct {
	// Name is the reason under which the record counts as skipped.
	Name string
	// what can still be compared
	decision bool // layer, counts, skew and order
	result   bool // the whole result
}

// Compares tells whether something of the record can still be compared.
func (d Departure) Compares() bool { return d.Name == "" || d.decision || d.result }

// Diff compares what the departure leaves as it is.
func (d Departure) Diff(want, got *Result, wantAfter, gotAfter *State) []string {
	switch {
	case d.Name == "":
		out := DiffResult(want, got)
		if wantAfter != nil {
			out = append(out, DiffState(wantAfter, gotAfter)...)
		}
		return out
	case d.result:
		return DiffResult(want, got)
	case d.decision:
		w, g := *want, *got
		w.AccountID, g.AccountID, w.Acquired, g.Acquired, w.WaitPlan, g.WaitPlan = nil, nil, false, false, nil, nil
		return DiffResult(&w, &g)
	}
	return nil
}

// The tags of whole records that a departure changes.
var departingTags = []string{
	"sticky_hint", "fault_injection", "local_response_binding_ignores_group", "sticky_keeps_unschedulable", "sticky_ignores_group",
}

// Departure tells whether one applies to a Select, before Selected takes it in.
func (t *Trace) Departure(q *Request, r *Result, tags []string) Departure {
	for _, tag := range departingTags {
		if slices.Contains(tags, tag) {
			return Departure{Name: tag}
		}
	}
	if Positive(q.StickyHint) {
		return Departure{Name: "sticky_hint"}
	}
	leak := false
	if id := t.responseBound(q); id != "" {
		row := t.row(q, id, true)
		if row == rowDeparts {
			return Departure{Name: "sticky_eligibility"}
		}
		leak = row == rowTransport && t.room(t.accounts[id])
	}
	if id := t.sessionBound(q); id != "" && r.Decision.Layer != "previous_response_id" && t.row(q, id, false) == rowDeparts {
		return Departure{Name: "sticky_eligibility"}
	}
	if r.Decision.Layer == "load_balance" {
		if d := t.balancing(q, r); d.Name != "" {
			return d
		}
	}
	if leak || slices.Contains(tags, "slot_leak") {
		return Departure{Name: "slot_leak", result: true}
	}
	return Departure{}
}

// balancing looks for departures among the candidates of load balancing.
func (t *Trace) balancing(q *Request, r *Result) Departure {
	despite := false
	for i := range t.world.Accounts {
		a := t.accounts[t.world.Accounts[i].ID]
		if !t.candidate(q, a) {
			continue
		}
		if t.modelLimited(q, a) {
			return Departure{Name: "model_limited_candidate"}
		}
		if r.WaitPlan != nil && t.room(a) && !slices.Contains(r.SelectionOrder, a.ID) {
			despite = true
		}
	}
	if despite {
		return Departure{Name: "wait_despite_free", decision: true}
	}
	return Departure{}
}

// What the recorded sticky layers make of an account, in their order.
type row uint8

const (
	rowFit row = iota
	rowKeep
	rowDrop
	rowTransport // kept for its transport, of which the record may leak a slot
	rowDeparts   // taken by the record, unfit for usher
)

func (t *Trace) row(q *Request, id string, response bool) row {
	a := t.accounts[id]
	if slices.Contains(t.world.Faults.LookupErrorAccountIDs, id) {
		a = nil
	}
	upstream, mapped := "", false
	if a != nil {
		upstream, mapped = mapModel(a.ModelMapping, q.Model)
	}
	transport := ""
	if a != nil {
		transport = or(a.Transport, "http_sse")
	}
	switch {
	case slices.Contains(q.Excluded, id):
		return rowKeep
	case a == nil:
		return rowDrop
	case response && transport != "responses_websockets_v2":
		return rowKeep
	case or(a.Platform, Provider) != Provider, or(a.Status, "active") == "error", or(a.Status, "active") == "disabled",
		a.unschedulable, t.before(a.TempMS), t.limitedFor(a, upstream):
		return rowDrop
	case !mapped:
		return rowKeep
	case !speaks(q, a) && response:
		return rowTransport
	case !speaks(q, a):
		return rowDrop
	case t.before(a.OverloadMS), t.before(a.RateLimitMS), !member(q, a), t.expired(a), or(a.Status, "active") != "active":
		return rowDeparts
	}
	return rowFit
}

// candidate tells whether the recorded load balancing lists the account.
func (t *Trace) candidate(q *Request, a *traced) bool {
	_, mapped := mapModel(a.ModelMapping, q.Model)
	return mapped && member(q, a) && speaks(q, a) && !slices.Contains(q.Excluded, a.ID) &&
		or(a.Platform, Provider) == Provider && or(a.Status, "active") == "active" && !a.unschedulable &&
		!t.before(a.TempMS) && !t.before(a.OverloadMS) && !t.before(a.RateLimitMS) && !t.expired(a)
}

func (t *Trace) room(a *traced) bool {
	return t.world.ConcurrencyDisabled || a.MaxConcurrency <= 0 || int(a.inUse) < a.MaxConcurrency
}

func (t *Trace) before(ms *int64) bool { return ms != nil && t.now < *ms }

func (t *Trace) expired(a *traced) bool {
	return a.AutoPauseOnExpired && a.ExpiresMS != nil && t.now >= *a.ExpiresMS
}

func (t *Trace) modelLimited(q *Request, a *traced) bool {
	upstream, _ := mapModel(a.ModelMapping, q.Model)
	return t.limitedFor(a, upstream)
}

func (t *Trace) limitedFor(a *traced, upstream string) bool {
	until, ok := a.ModelLimits[strings.TrimSpace(upstream)]
	return ok && t.now < until
}

func member(q *Request, a *traced) bool {
	return q.GroupID == nil || slices.Contains(a.GroupIDs, *q.GroupID)
}

func speaks(q *Request, a *traced) bool {
	return q.Transport == "" || q.Transport == "http_sse" || q.Transport == or(a.Transport, "http_sse")
}

func mapModel(mapping map[string]string, model string) (string, bool) {
	if len(mapping) == 0 {
		return model, true
	}
	if to, ok := mapping[model]; ok {
		return to, true
	}
	best, found := "", ""
	for pattern, to := range mapping {
		prefix, wild := strings.CutSuffix(pattern, "*")
		if wild && strings.HasPrefix(model, prefix) && len(pattern) > len(best) {
			best, found = pattern, to
		}
	}
	if best != "" {
		return found, true
	}
	return model, model == ""
}
