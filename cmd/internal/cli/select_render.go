package cli

import (
	"fmt"
	"strings"
	"time"

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
	if d := s.GetTimeInLine().AsDuration(); d > 0 {
		f.add("in line", fmt.Sprintf("%s, joined at place %d, woken by %s", brief(d), s.GetLine().GetJoinedAt(), word(s.GetLine().GetWokenBy())))
	}
	var next []string
	for _, a := range s.GetAlternates() {
		next = append(next, clean(a.GetAccountId()))
	}
	if len(next) > 0 {
		f.add("alternates", strings.Join(next, ", ")+" (they hold no slot)")
	}
}

func expiry(s *usherv1.Selection, now time.Time) string {
	text := "in " + brief(s.GetLeaseTtl().AsDuration())
	if at := s.GetLeaseExpiresAt(); at != nil {
		text += " (" + strings.SplitN(clock(at, now), ",", 2)[0] + ")"
	}
	return text
}

func addWaitPlan(f *fields, p *usherv1.WaitPlan) {
	f.add("wait", fmt.Sprintf("for %s, at most %s: each of its %s is taken", clean(p.GetAccountId()),
		brief(p.GetTimeout().AsDuration()), count(uint64(max(p.GetMaxConcurrency(), 0)), "slot", "slots")))
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
		f.add("owner", fmt.Sprintf("%s: %s%s", clean(o.GetAccountId()), word(o.GetReason()), left(o.GetUntil(), now)))
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
		a.outcome = usherv1.DecisionOutcome_DECISION_OUTCOME_REFUSED
	}
	return a
}

// why tells a decision in a few sentences.
func why(d *usherv1.Decision, a answer, now time.Time) string {
	said := []string{
		strayed("previous response", d.GetResponseBinding(), now),
		strayed("session", d.GetSessionBinding(), now),
		layerSentence(d, a.outcome),
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
		said = append(said, "The store is out of reach: decided on this replica's share.")
	}
	return joined(" ", said...)
}

func layerSentence(d *usherv1.Decision, o usherv1.DecisionOutcome) string {
	planned := o == usherv1.DecisionOutcome_DECISION_OUTCOME_WAIT_PLAN
	switch d.GetLayer() {
	case usherv1.Layer_LAYER_PREVIOUS_RESPONSE_ID:
		return stickySentence("previous response", planned)
	case usherv1.Layer_LAYER_SESSION_HASH:
		return stickySentence("session", planned)
	case usherv1.Layer_LAYER_LOAD_BALANCE:
		n := count(uint64(d.GetCandidateCount()), "candidate", "candidates")
		skew := fmt.Sprintf("load skew %s points", digits(d.GetLoadSkew()))
		switch {
		case d.GetCandidateCount() == 0:
			return "Load balancing found no candidate."
		case planned:
			return fmt.Sprintf("Load balancing found %s, all full (%s).", n, skew)
		default:
			return fmt.Sprintf("Load balancing scored %s and drew among the top %d (%s).", n, d.GetTopK(), skew)
		}
	default:
		return ""
	}
}

func stickySentence(anchor string, planned bool) string {
	if planned {
		return "The account bound to the " + anchor + " is full, and the binding stands."
	}
	return "The account bound to the " + anchor + " took it."
}

// strayed tells what became of a binding whose account did not answer.
func strayed(anchor string, v *usherv1.StickyVerdict, now time.Time) string {
	start := fmt.Sprintf("The %s is bound to %s", anchor, clean(v.GetAccountId()))
	reason := reasonAnd(v.GetReason(), v.GetUntil(), now)
	switch v.GetFate() {
	case usherv1.BindingFate_BINDING_FATE_KEPT:
		return start + ", which may not serve this" + reason + "; the binding was kept."
	case usherv1.BindingFate_BINDING_FATE_DROPPED:
		return fmt.Sprintf("The %s was bound to %s, which may not serve any more%s; the binding was dropped.", anchor, clean(v.GetAccountId()), reason)
	case usherv1.BindingFate_BINDING_FATE_ESCAPED:
		return start + ", was served elsewhere this time, and stays bound."
	case usherv1.BindingFate_BINDING_FATE_REBOUND:
		return fmt.Sprintf("The account %s of the %s is gone%s; it was bound anew.", clean(v.GetAccountId()), anchor, reason)
	default:
		return ""
	}
}

func reasonAnd(r usherv1.ExclusionReason, until *timestamppb.Timestamp, now time.Time) string {
	if r == usherv1.ExclusionReason_EXCLUSION_REASON_UNSPECIFIED {
		return ""
	}
	return " (" + word(r) + left(until, now) + ")"
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
