package config

import (
	"log/slog"
	"maps"
	"strings"

	"usher.internal/core"
	"usher.internal/core/pool"
)

// Pool gives the accounts as core knows them, in the file's order.
func (c *Config) Pool() []pool.Account {
	out := make([]pool.Account, 0, len(c.Accounts))
	for i := range c.Accounts {
		out = append(out, c.Accounts[i].account())
	}
	return out
}

func (a *Account) account() pool.Account {
	state, _ := pool.ParseState(a.State)
	return pool.Account{
		ID: a.ID, Type: a.Type, Provider: a.Provider,
		Priority: a.Priority, MaxConcurrency: a.MaxConcurrency,
		Groups: a.Groups, Models: pool.NewModels(a.Models), Transports: transports(a.Transports),
		State: state, DrainUntil: a.DrainUntil, Status: pool.ParseStatus(a.Status),
		Unschedulable:          !a.Schedulable,
		TempUnschedulableUntil: a.TempUnschedulableUntil,
		RateLimitedUntil:       a.RateLimitedUntil,
		OverloadedUntil:        a.OverloadedUntil,
		ExpiresAt:              a.ExpiresAt,
		AutoPauseOnExpired:     a.AutoPauseOnExpired,
		ModelLimits:            maps.Clone(a.ModelLimits),
	}
}

func transports(names []string) pool.Transports {
	var set pool.Transports
	for _, name := range names {
		t, _ := pool.ParseTransport(name)
		set = set.With(t)
	}
	return set
}

// OutcomeTable gives the table with the file's outcomes over the shipped ones. Errors: none after Parse.
func (c *Config) OutcomeTable() (*core.OutcomeTable, error) {
	rules := make([]core.OutcomeRule, 0, len(c.Outcomes))
	for _, o := range c.Outcomes {
		outcome, _ := core.ParseOutcome(o.Outcome)
		scope, _ := core.ParseScope(o.Scope)
		rules = append(rules, core.OutcomeRule{Provider: o.Provider, Status: o.Status, Code: o.Code, Outcome: outcome, Scope: scope})
	}
	return core.NewOutcomeTable(rules)
}

// CoreHistoryBytes is HistoryBytes in core's terms, where 0 is the default and less is none.
func (s *Server) CoreHistoryBytes() int {
	if s.HistoryBytes == 0 {
		return -1
	}
	return s.HistoryBytes
}

// OwnerTerms gives what gateways with a report stream keep to.
func (s *Server) OwnerTerms() core.OwnerTerms {
	return core.OwnerTerms{HeartbeatInterval: s.Heartbeat.Interval, HeartbeatTimeout: s.Heartbeat.Timeout, OwnerGrace: s.Heartbeat.Grace}
}

// Severity gives log.level as slog knows it.
func (l *Log) Severity() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(strings.ToUpper(l.Level))) != nil {
		return slog.LevelInfo
	}
	return level
}
