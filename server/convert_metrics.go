package server

import (
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/types/known/durationpb"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/server/telemetry"
)

// view says which accounts of a snapshot are wanted.
type view struct {
	group string
	omit  bool
}

func snapshotTo(s *core.Snapshot, t *telemetry.Telemetry, v view) *usherv1.MetricsSnapshot {
	out := &usherv1.MetricsSnapshot{
		At:              stamp(s.At),
		Uptime:          durationpb.New(s.Uptime),
		Totals:          totalsTo(&s.Totals),
		DecisionLatency: quantilesTo(t.Latency()),
		Rpcs:            callsTo(t.Calls()),
		Reports:         eventCountsTo(t.Events()),
		LeaseEnds:       leaseEndsTo(s.LeaseEnds),

		LeasesAdoptedTotal:       s.LeasesAdopted,
		LeasesOvercommittedTotal: s.LeasesOvercommitted,
		OwnersAttached:           count(s.OwnersAttached),
		LeasesLive:               uint64(max(s.Usage.Leases, 0)),
		LeasesExpiredTotal:       s.LeasesExpired,
		Waiting:                  uint64(max(s.Usage.Waiting, 0)),
		Profile:                  s.Profile,
		Degraded:                 s.Degraded,
	}
	for i := range s.Selects {
		c := &s.Selects[i]
		out.Selects = append(out.Selects, &usherv1.SelectCount{
			Layer: layerTo(c.Layer), Outcome: outcomeTo(c.Outcome), RefusalReason: refusalReasonTo(c.Refusal), Total: c.Total,
		})
	}
	if v.omit {
		return out
	}
	for i := range s.Accounts {
		if a := &s.Accounts[i]; a.Account.InGroup(v.group) {
			out.Accounts = append(out.Accounts, accountTo(a))
		}
	}
	return out
}

func leaseEndsTo(ends []core.LeaseEndCount) []*usherv1.LeaseEndCount {
	out := make([]*usherv1.LeaseEndCount, len(ends))
	for i, e := range ends {
		out[i] = &usherv1.LeaseEndCount{Owner: e.Owner, AccountId: e.Account, Reason: leaseEndTo(e.End), Total: e.Total}
	}
	return out
}

func callsTo(calls []telemetry.CallCount) []*usherv1.RpcCount {
	out := make([]*usherv1.RpcCount, len(calls))
	for i, c := range calls {
		out[i] = &usherv1.RpcCount{
			Method: c.Method, Code: code.Code(c.Code).String(), Total: c.Total, Took: durationpb.New(c.Took),
		}
	}
	return out
}

func eventCountsTo(counts []telemetry.EventCount) []*usherv1.ReportCount {
	out := make([]*usherv1.ReportCount, len(counts))
	for i, c := range counts {
		out[i] = &usherv1.ReportCount{Event: eventNameTo(c.Kind), Outcome: reportedTo(c.Outcome), Status: statusTo(c.Status), Total: c.Total}
	}
	return out
}

// eventNameTo gives the field of ReportEvent.
func eventNameTo(k core.EventKind) string {
	switch k {
	case core.EventFirstToken:
		return "first_token"
	case core.EventFinished:
		return "finished"
	case core.EventUnused:
		return "released_unused"
	case core.EventSwitched:
		return "switched"
	}
	return ""
}

func totalsTo(t *core.Totals) *usherv1.SchedulerTotals {
	return &usherv1.SchedulerTotals{
		SelectTotal:              t.Selects,
		StickyPreviousHitTotal:   t.PreviousHits,
		StickySessionHitTotal:    t.SessionHits,
		LoadBalanceSelectTotal:   t.LoadBalanced,
		AccountSwitchTotal:       t.Switches,
		SchedulerLatencyTotal:    durationpb.New(t.Latency),
		SchedulerLatencyAvg:      durationpb.New(t.LatencyAvg),
		StickyHitRatio:           t.StickyHitRatio,
		AccountSwitchRate:        t.SwitchRate,
		LoadSkewAvg:              t.LoadSkewAvg,
		RuntimeStatsAccountCount: uint64(max(t.StatAccounts, 0)),
		AnsweredLatencyAvg:       durationpb.New(t.AnsweredLatencyAvg),
		AnsweredLoadSkewAvg:      t.AnsweredLoadSkewAvg,
	}
}

func quantilesTo(q telemetry.Quantiles) *usherv1.LatencyQuantiles {
	return &usherv1.LatencyQuantiles{
		Count: q.Count,
		P50:   durationpb.New(q.P50),
		P90:   durationpb.New(q.P90),
		P99:   durationpb.New(q.P99),
		P999:  durationpb.New(q.P999),
		Max:   durationpb.New(q.Max),
	}
}

func accountTo(s *core.AccountSnapshot) *usherv1.AccountSnapshot {
	a := s.Account
	var limited []*usherv1.ModelLimit
	for i := range s.Limited {
		limited = append(limited, &usherv1.ModelLimit{UpstreamModel: s.Limited[i].Upstream, Until: stamp(s.Limited[i].Until)})
	}
	return &usherv1.AccountSnapshot{
		AccountId:      a.ID,
		Type:           a.Type,
		Provider:       a.Provider,
		Priority:       number(a.Priority),
		Groups:         a.Groups,
		State:          stateTo(a.State),
		InUse:          count(int(s.Load.InUse)),
		MaxConcurrency: number(a.MaxConcurrency),
		Waiting:        count(int(s.Load.Waiting)),
		LoadRate:       s.Load.Rate,
		ErrorRate:      s.Stat.ErrorRate,
		TtftMs:         ttftTo(&s.Stat),
		BlockedReason:  reasonTo(s.Blocked),
		BlockedUntil:   stamp(s.BlockedUntil),
		LimitedModels:  limited,
		Overcommitted:  a.Limit() > 0 && s.Load.InUse > a.Limit(),
	}
}

func filterFrom(m *usherv1.ListDecisionsRequest) core.DecisionFilter {
	f := core.DecisionFilter{
		Group: m.GetGroup(), Account: m.GetAccountId(), Outcome: outcomeFrom(m.GetOutcome()), Limit: int(m.GetLimit()),
	}
	f.Layer, f.ByLayer = layerFrom(m.GetLayer())
	return f
}

func recordTo(r *core.DecisionRecord) *usherv1.DecisionRecord {
	out := &usherv1.DecisionRecord{
		At:                  stamp(r.At),
		Decision:            &usherv1.Decision{},
		Outcome:             outcomeTo(r.Outcome),
		AccountId:           r.Account,
		RefusalReason:       refusalReasonTo(r.Refusal),
		Group:               r.Group,
		Model:               r.Model,
		Tenant:              r.Tenant,
		Provider:            r.Provider,
		RequiredTransport:   transportTo(r.Transport),
		HasSession:          r.HasSession,
		HasPreviousResponse: r.HasPrevious,
	}
	if r.Line.JoinedAt > 0 {
		out.TimeInLine, out.Line = span(r.Line.Time), linePlaceTo(&r.Line)
	}
	fillDecision(out.Decision, &r.Decision, &durationpb.Duration{})
	return out
}
