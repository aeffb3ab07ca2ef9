package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"usher.internal/cmd/internal/config"
	"usher.internal/core"
	"usher.internal/core/decide"
)

// OutcomesCmd prints what upstreams' answers mean.
type OutcomesCmd struct {
	Config   string `help:"Put the outcomes of this configuration file over the shipped ones, and show the cooldowns of its policy." placeholder:"FILE"`
	Provider string `help:"Only what holds for this provider." placeholder:"NAME"`
	Output   string `short:"o" help:"What to print: table for people, or json for scripts." enum:"table,json" default:"table" placeholder:"FORMAT"`
}

// Help is shown by --help.
func (OutcomesCmd) Help() string {
	return `A report may give the upstream's status and error code in place of an outcome; this is the table that tells the
outcome then. It is read from this program and the file, not from a running usher.

Exit codes: 0 the table, 1 the file is not valid.

Examples:

    usher outcomes --provider openai
    usher outcomes --config /etc/usher/usher.yaml -o json`
}

// column is a cooldown by one policy.
type column struct {
	name   string
	policy decide.Policy
}

// meaning is one row of the table.
type meaning struct {
	Provider string `json:"provider"`
	Status   string `json:"status"`
	Code     string `json:"code"`
	Outcome  string `json:"outcome"`
	Scope    string `json:"scope,omitempty"`
	// ErrorSample is null for an outcome that is none.
	ErrorSample *int              `json:"error_sample"`
	Cooldown    map[string]string `json:"cooldown"`
	From        string            `json:"from"`
}

// Run prints the table.
func (c *OutcomesCmd) Run(std IO) error {
	shipped, err := core.NewOutcomeTable(nil)
	if err != nil {
		return err
	}
	table := shipped
	columns := []column{{decide.ProfileRecommended, decide.Recommended()}, {decide.ProfileReference, decide.Reference()}}
	if c.Config != "" {
		file, err := config.Load(c.Config)
		if err != nil {
			return err
		}
		if table, err = file.OutcomeTable(); err != nil {
			return err
		}
		columns = []column{{"cooldown", file.Policy.Decide()}}
	}
	rows := meanings(table, shipped, columns, c.Provider)
	if c.Output == "json" {
		e := json.NewEncoder(std.Out)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}
	_, err = fmt.Fprint(std.Out, renderOutcomes(rows, columns, c.Config != ""))
	return err
}

func meanings(table, shipped *core.OutcomeTable, columns []column, provider string) []meaning {
	known := shipped.Rules()
	rows := []meaning{}
	for _, r := range table.Rules() {
		if provider != "" && r.Provider != "" && r.Provider != core.ProviderName(provider) {
			continue
		}
		m := meaning{
			Provider: r.Provider, Status: statusClass(r.Status), Code: r.Code, Outcome: r.Outcome.String(),
			Cooldown: make(map[string]string, len(columns)), From: "file",
		}
		if slices.Contains(known, r) {
			m.From = "usher"
		}
		if counts, failed := r.Outcome.Sampled(); counts {
			sample := 0
			if failed {
				sample = 1
			}
			m.ErrorSample = &sample
		}
		if r.Outcome.Cools() != decide.None {
			m.Scope = r.Scope.String()
		}
		for i := range columns {
			m.Cooldown[columns[i].name] = cooldownText(r.Outcome, &columns[i].policy)
		}
		rows = append(rows, m)
	}
	return rows
}

// statusClass is a rule's status as a person says it: 4 is 4xx; blank for any.
func statusClass(status int) string {
	switch {
	case status == 0:
		return ""
	case status < 10:
		return strconv.Itoa(status) + "xx"
	}
	return strconv.Itoa(status)
}

func cooldownText(o core.Outcome, p *decide.Policy) string {
	switch reason := o.Cools(); {
	case reason == decide.None, reason == decide.AuthFailed && !p.AuthFailedPauses:
		return "none"
	case reason == decide.AuthFailed:
		return "until a restart"
	case p.Overloaded.Base == 0:
		return "as told"
	}
	return "as told, or " + brief(p.Overloaded.Base) + " to " + brief(p.Overloaded.Cap)
}

func renderOutcomes(rows []meaning, columns []column, file bool) string {
	heads := []string{"PROVIDER", "STATUS", "CODE", "OUTCOME", "ERROR", "SCOPE"}
	for _, c := range columns {
		heads = append(heads, map[bool]string{true: "COOLDOWN", false: "COOLDOWN, " + c.name}[file])
	}
	if file {
		heads = append(heads, "FROM")
	}
	g := newGrid(heads)
	for _, m := range rows {
		sample := "–"
		if m.ErrorSample != nil {
			sample = strconv.Itoa(*m.ErrorSample)
		}
		cells := []string{orAny(m.Provider), orAny(m.Status), orAny(m.Code), m.Outcome, sample, m.Scope}
		for _, c := range columns {
			cells = append(cells, m.Cooldown[c.name])
		}
		if file {
			cells = append(cells, m.From)
		}
		g.row(cells...)
	}
	var longest []string
	for _, c := range columns {
		if d := brief(c.policy.Longest()); !slices.Contains(longest, d) {
			longest = append(longest, d)
		}
	}
	return g.String() + "\nThe code goes before the status, a status before its class (4xx), a provider's own row before any's; an answer that\n" +
		"no row knows is account_error. ERROR is the sample of the error rate, – none. As told: until the report's retry_after or\n" +
		"reset_at, at most " + joined(" or ", longest...) + "; without them the first cooldown given, twice as long with each in a row, up to the second.\n"
}

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return clean(s)
}
