package cli

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	usherv1 "usher.internal/gen/usher/v1"
)

func renderSelect(req *usherv1.SelectRequest, resp *usherv1.SelectResponse, now time.Time, width int) string {
	f := &fields{width: width}
	switch r := resp.GetResult().(type) {
	case *usherv1.SelectResponse_Selection:
		addSelection(f, r.Selection, now)
	case *usherv1.SelectResponse_WaitPlan:
		addWaitPlan(f, r.WaitPlan)
	case *usherv1.SelectResponse_Refusal:
		addRefusal(f, r.Refusal, now)
	}
	d := resp.GetDecision()
	f.add("why", why(d, answerOf(req, resp), now))
	if id := clean(d.GetDecisionId()); id != "" {
		f.raw("decision", id+"   (usher explain "+id+")")
	}
	for i, r := range resp.GetReportResults() {
		f.add(fmt.Sprintf("report %d", i+1), word(r.GetStatus()))
	}
	if v := d.GetVerdicts(); len(v) > 0 {
		f.b.WriteString("\n" + renderVerdicts(v, resp.GetSelection().GetAccountId(), now))
	}
	return f.b.String()
}

func addSelection(f *fields, s *usherv1.Selection, now time.Time) {
	account := clean(s.GetAccountId())
	if kind := joined(", ", clean(s.GetProvider()), clean(s.GetAccountType())); kind != "" {
		account += " (" + kind + ")"
	}
	f.add("account", account)
	f.add("model", clean(s.GetUpstreamModel()))
	if s.GetLeaseToken() == "" {
		f.add("lease", "none: a dry run takes nothing")
	} else {
		f.raw("lease", clean(s.GetLeaseToken()))
		f.add("expires", expiry(s, now)+", unless it is renewed")
	}
	f.add("in line", inLine(s.GetTimeInLine(), s.GetLine()))
	var next []string
	for _, a := range s.GetAlternates() {
		next = append(next, clean(a.GetAccountId()))
	}
	if len(next) > 0 {
		f.add("alternates", strings.Join(next, ", ")+" (they hold no slot)")
	}
}

// inLine tells of standing in line; blank when it did not.
func inLine(d *durationpb.Duration, at *usherv1.LinePlace) string {
	if at == nil {
		return ""
	}
	text := fmt.Sprintf("%s, joined at place %d", brief(d.AsDuration()), at.GetJoinedAt())
	if by := at.GetWokenBy(); by != usherv1.WakeReason_WAKE_REASON_UNSPECIFIED {
		return text + ", woken by " + word(by)
	}
	return text + ", until its time was over"
}

func expiry(s *usherv1.Selection, now time.Time) string {
	text := "in " + brief(s.GetLeaseTtl().AsDuration())
	if at := s.GetLeaseExpiresAt(); at != nil {
		text += " (" + strings.SplitN(clock(at, now), ",", 2)[0] + ")"
	}
	return text
}

func addWaitPlan(f *fields, p *usherv1.WaitPlan) {
	full := "each of its " + count(uint64(max(p.GetMaxConcurrency(), 0)), "slot", "slots") + " is taken"
	if p.GetProbing() {
		full = "its cooldown is over, and the one request that it takes until one succeeds is out"
	}
	f.add("wait", fmt.Sprintf("for %s, at most %s: %s", clean(p.GetAccountId()), brief(p.GetTimeout().AsDuration()), full))
	f.add("in line", fmt.Sprintf("%d of at most %d wait for it already", p.GetWaiting(), p.GetMaxWaiting()))
	f.add("lease", "none: a wait plan holds nothing")
}

func addRefusal(f *fields, r *usherv1.Refusal, now time.Time) {
	f.add("refused", refusalText(r.GetReason()))
	var because []string
	for _, e := range r.GetExclusions() {
		because = append(because, count(uint64(e.GetAccounts()), "account ", "accounts ")+word(e.GetReason()))
	}
	f.add("because", strings.Join(because, ", "))
	if r.GetLimit() > 0 {
		f.add("limit", fmt.Sprint(r.GetLimit()))
	}
	if r.GetPlaceInLine() > 0 {
		f.add("in line", fmt.Sprintf("reached place %d", r.GetPlaceInLine()))
	}
	if o := r.GetOwner(); o.GetAccountId() != "" {
		f.add("owner", fmt.Sprintf("%s: %s%s", clean(o.GetAccountId()), reasonText(o.GetReason()), left(o.GetUntil(), now)))
	}
	if d := r.GetEstimatedWait(); d != nil {
		f.add("estimate", "a place in line would have meant a wait of "+brief(d.AsDuration()))
	}
	if at := r.GetNextEligibleAt(); at != nil {
		f.add("next", "an account may serve again at "+clock(at, now))
	}
	switch {
	case r.GetRetryAfter() != nil:
		f.add("retry", "after "+brief(r.GetRetryAfter().AsDuration()))
	default:
		f.add("retry", "asking again is not expected to help")
	}
}

func refusalText(r usherv1.RefusalReason) string {
	switch r {
	case usherv1.RefusalReason_REFUSAL_REASON_NO_ACCOUNTS:
		return "no accounts: the group has none, or is not known"
	case usherv1.RefusalReason_REFUSAL_REASON_NONE_ELIGIBLE:
		return "none eligible: the group has accounts, but none may serve this"
	case usherv1.RefusalReason_REFUSAL_REASON_OWNER_UNAVAILABLE:
		return "owner unavailable: the account of the response may not serve, and no other may"
	case usherv1.RefusalReason_REFUSAL_REASON_QUEUE_FULL:
		return "queue full: as many wait as may"
	case usherv1.RefusalReason_REFUSAL_REASON_WAIT_TIMEOUT:
		return "wait timeout: stood in line until the time was over"
	case usherv1.RefusalReason_REFUSAL_REASON_TENANT_LIMIT:
		return "tenant limit: the tenant holds or waits for as many slots as it may"
	default:
		return word(r)
	}
}

// answer is what a sentence about a decision needs to know besides it.
type answer struct {
	outcome    usherv1.DecisionOutcome
	account    string
	refusal    usherv1.RefusalReason
	hasSession bool
}

func answerOf(req *usherv1.SelectRequest, resp *usherv1.SelectResponse) answer {
	a := answer{hasSession: strings.TrimSpace(req.GetSessionHash()) != ""}
	switch r := resp.GetResult().(type) {
	case *usherv1.SelectResponse_Selection:
		a.outcome, a.account = usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED, r.Selection.GetAccountId()
	case *usherv1.SelectResponse_WaitPlan:
		a.outcome, a.account = usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN, r.WaitPlan.GetAccountId()
	case *usherv1.SelectResponse_Refusal:
		a.outcome, a.refusal = usherv1.DecisionOutcome_DECISION_OUTCOME_REFUSED, r.Refusal.GetReason()
	}
	return a
}

// why tells a decision in a few sentences.
func why(d *usherv1.Decision, a answer, now time.Time) string {
	said := []string{
		strayed("previous response", d.GetResponseBinding(), a, now),
		strayed("session", d.GetSessionBinding(), a, now),
		layerSentence(d, a),
		boundSentence(d, a),
	}
	if t := d.GetLatency(); t != nil {
		s := "Decided in " + brief(t.AsDuration())
		if p := clean(d.GetProfile()); p != "" {
			s += " under profile " + p
		}
		said = append(said, s+".")
	}
	if d.GetDryRun() {
		said = append(said, "A dry run: nothing was taken or bound.")
	}
	if d.GetRepeated() {
		said = append(said, "This request id had its lease before.")
	}
	if d.GetDegraded() {
		said = append(said, "Decided on this replica's share: the store is out of reach, or was a moment ago.")
	}
	return joined(" ", said...)
}

func layerSentence(d *usherv1.Decision, a answer) string {
	if a.refusal == usherv1.RefusalReason_REFUSAL_REASON_OWNER_UNAVAILABLE {
		return "No other account may continue it, so none was tried."
	}
	planned := a.outcome == usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN
	switch d.GetLayer() {
	case usherv1.Layer_LAYER_PREVIOUS_RESPONSE_ID:
		if planned && d.GetResponseBinding().GetFate() == usherv1.BindingFate_BINDING_FATE_KEPT {
			return "No other account may continue it, so its probe is waited for."
		}
		return stickySentence("previous response", a.outcome)
	case usherv1.Layer_LAYER_SESSION_HASH:
		if d.GetSessionBinding().GetFate() == usherv1.BindingFate_BINDING_FATE_ESCAPED {
			return "It stood in before, so no other was looked for."
		}
		return stickySentence("session", a.outcome)
	case usherv1.Layer_LAYER_LOAD_BALANCE:
		n := count(uint64(d.GetCandidateCount()), "candidate", "candidates")
		skew := fmt.Sprintf("load skew %s points", digits(d.GetLoadSkew()))
		switch {
		case a.refusal == usherv1.RefusalReason_REFUSAL_REASON_TENANT_LIMIT:
			return "Its tenant's limit came before any account."
		case d.GetCandidateCount() == 0 && d.GetSessionBinding().GetFate() == usherv1.BindingFate_BINDING_FATE_FULL:
			return "The session's own account is full, and no other may serve it."
		case d.GetCandidateCount() == 0 && (planned || a.refusal == usherv1.RefusalReason_REFUSAL_REASON_WAIT_TIMEOUT ||
			a.refusal == usherv1.RefusalReason_REFUSAL_REASON_QUEUE_FULL):
			return "Load balancing found none but accounts whose one probe is out."
		case d.GetCandidateCount() == 0:
			return "Load balancing found no candidate."
		case planned, a.refusal != usherv1.RefusalReason_REFUSAL_REASON_UNSPECIFIED:
			return fmt.Sprintf("Load balancing found %s, all full (%s).", n, skew)
		default:
			return fmt.Sprintf("Load balancing scored %s and drew among the top %d (%s).", n, d.GetTopK(), skew)
		}
	default:
		return ""
	}
}

func stickySentence(anchor string, outcome usherv1.DecisionOutcome) string {
	switch outcome {
	case usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN:
		return "The account bound to the " + anchor + " is full, and the binding stands."
	case usherv1.DecisionOutcome_DECISION_OUTCOME_REFUSED:
		return "The account bound to the " + anchor + " took nothing in time, and the binding stands."
	default:
		return "The account bound to the " + anchor + " took it."
	}
}

// strayed tells what became of a binding whose account did not answer.
func strayed(anchor string, v *usherv1.StickyVerdict, a answer, now time.Time) string {
	start := fmt.Sprintf("The %s is bound to %s", anchor, clean(v.GetAccountId()))
	reason := reasonAnd(v.GetReason(), v.GetUntil(), now)
	switch v.GetFate() {
	case usherv1.BindingFate_BINDING_FATE_KEPT:
		return start + ", which may not serve this" + reason + "; the binding was kept."
	case usherv1.BindingFate_BINDING_FATE_DROPPED:
		return fmt.Sprintf("The %s was bound to %s, which may not serve any more%s; the binding was dropped.", anchor, clean(v.GetAccountId()), reason)
	case usherv1.BindingFate_BINDING_FATE_ESCAPED:
		trouble := ", which is full or does badly"
		if reason != "" {
			trouble = ", which may not serve this for now" + reason
		}
		substitute := "another account"
		if a.account != "" {
			substitute = clean(a.account)
		}
		return start + trouble + "; " + substitute + " serves it in the meantime, and the binding stands."
	case usherv1.BindingFate_BINDING_FATE_REBOUND:
		return fmt.Sprintf("The %s was bound to %s, which is gone for longer than the binding would live%s; it was bound anew.", anchor, clean(v.GetAccountId()), reason)
	default:
		return ""
	}
}

func reasonAnd(r usherv1.ExclusionReason, until *timestamppb.Timestamp, now time.Time) string {
	if r == usherv1.ExclusionReason_EXCLUSION_REASON_UNSPECIFIED {
		return ""
	}
	return " (" + reasonText(r) + left(until, now) + ")"
}

// reasonText is a reason, and what its name does not say.
func reasonText(r usherv1.ExclusionReason) string {
	switch r {
	case usherv1.ExclusionReason_EXCLUSION_REASON_AUTH_FAILED:
		return "auth failed: its credentials were refused, it stays away until usher starts again"
	case usherv1.ExclusionReason_EXCLUSION_REASON_PROBING:
		return "probing: its cooldown is over, and the one request that it takes until one succeeds is out"
	default:
		return word(r)
	}
}

func boundSentence(d *usherv1.Decision, a answer) string {
	if !a.hasSession || d.GetDryRun() || a.outcome != usherv1.DecisionOutcome_DECISION_OUTCOME_SELECTED ||
		d.GetLayer() == usherv1.Layer_LAYER_SESSION_HASH ||
		d.GetSessionBinding().GetFate() == usherv1.BindingFate_BINDING_FATE_ESCAPED {
		return ""
	}
	return "The session is bound to " + clean(a.account) + " now."
}

func joined(sep string, parts ...string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, sep)
}
