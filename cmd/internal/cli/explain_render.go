package cli

import (
	"fmt"
	"strconv"
	"time"

	usherv1 "usher.internal/gen/usher/v1"
)

func renderExplain(resp *usherv1.ExplainResponse, now time.Time, width int) string {
	r := resp.GetRecord()
	d := r.GetDecision()
	f := &fields{width: width}
	f.add("decision", clean(d.GetDecisionId())+", "+clock(r.GetAt(), now))
	f.add("asked", asked(r))
	f.add("answered", answered(r))
	f.add("in line", inLine(r.GetTimeInLine(), r.GetLine()))
	f.add("why", why(d, answer{outcome: r.GetOutcome(), account: r.GetAccountId(), refusal: r.GetRefusalReason(), hasSession: r.GetHasSession()}, now))
	if w := resp.GetWeights(); w != nil && d.GetCandidateCount() > 0 {
		f.add("score", fmt.Sprintf("%s·P + %s·L + %s·Q + %s·E + %s·T", weight(w.GetPriority()), weight(w.GetLoad()),
			weight(w.GetQueue()), weight(w.GetErrorRate()), weight(w.GetTtft())))
	}
	if s := resp.GetDrawSeed(); s != 0 {
		f.add("draw", fmt.Sprintf("seeded with %#016x", s))
	}
	if n := resp.GetNotLookedAt(); n > 0 {
		f.add("not seen", count(uint64(n), "account", "accounts")+" of the group: the bound one answered first")
	}
	if v := d.GetVerdicts(); len(v) > 0 {
		f.b.WriteString("\n" + renderVerdicts(v, chosenOf(r), now))
	}
	return f.b.String()
}

func chosenOf(r *usherv1.DecisionRecord) string {
	if r.GetOutcome() == usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED {
		return r.GetAccountId()
	}
	return ""
}

func weight(w float64) string { return strconv.FormatFloat(w, 'g', 6, 64) }

func asked(r *usherv1.DecisionRecord) string {
	named := func(name, value string) string {
		if value == "" {
			return ""
		}
		return name + " " + clean(value)
	}
	group := "all accounts"
	if r.GetGroup() != "" {
		group = named("group", r.GetGroup())
	}
	transport, session, previous := "", "", ""
	if r.GetRequiredTransport() != usherv1.Transport_TRANSPORT_UNSPECIFIED {
		transport = "transport " + word(r.GetRequiredTransport())
	}
	if r.GetHasSession() {
		session = "with a session"
	}
	if r.GetHasPreviousResponse() {
		previous = "with a previous response"
	}
	return joined(", ", group, named("model", r.GetModel()), named("provider", r.GetProvider()), transport,
		named("tenant", r.GetTenant()), session, previous)
}

func answered(r *usherv1.DecisionRecord) string {
	switch r.GetOutcome() {
	case usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED:
		return clean(r.GetAccountId())
	case usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN:
		return "wait for " + clean(r.GetAccountId())
	case usherv1.DecisionOutcome_DECISION_OUTCOME_REFUSED:
		return "refused, " + refusalText(r.GetRefusalReason())
	default:
		return word(r.GetOutcome())
	}
}

func renderDecisions(resp *usherv1.ListDecisionsResponse, now time.Time) string {
	if len(resp.GetDecisions()) == 0 {
		return "no decisions are kept that match\n"
	}
	g := newGrid([]string{"AGO", "DECISION", "ANSWER", "LAYER", "GROUP", "MODEL", "TENANT", "CANDIDATES", "TOP K", "SKEW", "LATENCY"},
		"AGO", "CANDIDATES", "TOP K", "SKEW", "LATENCY")
	for _, r := range resp.GetDecisions() {
		d := r.GetDecision()
		answer := answered(r)
		if r.GetOutcome() == usherv1.DecisionOutcome_DECISION_OUTCOME_REFUSED {
			answer = "refused: " + word(r.GetRefusalReason())
		}
		g.row(brief(now.Sub(r.GetAt().AsTime())), clean(d.GetDecisionId()), answer, word(d.GetLayer()),
			clipped(clean(r.GetGroup()), 20), clipped(clean(r.GetModel()), 24), clipped(clean(r.GetTenant()), 20),
			strconv.Itoa(int(d.GetCandidateCount())), strconv.Itoa(int(d.GetTopK())), digits(d.GetLoadSkew()),
			brief(d.GetLatency().AsDuration()))
	}
	return g.String()
}
