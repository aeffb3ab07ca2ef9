package core

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// OutcomeRule says what an upstream's answer means.
type OutcomeRule struct {
	// Provider is an account's provider in lower case; blank is any.
	Provider string
	// Status is an HTTP status, or its first digit for the whole class; 0 is any.
	Status int
	// Code is the upstream's error code or type in lower case; blank is any.
	Code    string
	Outcome Outcome
	// Scope is what a limit covers when the event does not say; zero is the account.
	Scope LimitScope
}

// Meaning is what a table makes of an answer.
type Meaning struct {
	Outcome Outcome
	Scope   LimitScope
}

// OutcomeTable turns an upstream's status and error code into an outcome. It is immutable and safe for concurrent use.
type OutcomeTable struct {
	rules map[outcomeKey]Meaning
}

type outcomeKey struct {
	provider, code string
	status         int
}

// NewOutcomeTable gives the shipped table with the overrides over it: a rule for the same
// provider, status and code replaces the shipped one. Errors: KindInvalidPool naming the rule.
func NewOutcomeTable(overrides []OutcomeRule) (*OutcomeTable, error) {
	t := &OutcomeTable{rules: make(map[outcomeKey]Meaning)}
	for _, rules := range [...][]OutcomeRule{anyRules, openAIRules, anthropicRules, googleRules, azureRules, bedrockRules} {
		for i := range rules {
			t.put(&rules[i])
		}
	}
	for i := range overrides {
		if problem := overrides[i].problem(); problem != "" {
			return nil, &Error{Kind: KindInvalidPool, Text: fmt.Sprintf("outcomes[%d]: %s", i, problem)}
		}
		t.put(&overrides[i])
	}
	return t, nil
}

func (r *OutcomeRule) problem() string {
	switch {
	case r.Outcome < OutcomeSuccess || r.Outcome >= outcomeCount:
		return "outcome is not known"
	case r.Scope > ScopeModel:
		return "scope is not known"
	case r.Status != 0 && (r.Status < 1 || r.Status > 5) && (r.Status < 100 || r.Status > 599):
		return fmt.Sprintf("status must be 100 to 599, or 1 to 5 for a class, is %d", r.Status)
	case r.Status == 0 && plain(r.Code) == "":
		return "status or code is needed"
	}
	return ""
}

func (t *OutcomeTable) put(r *OutcomeRule) {
	v := Meaning{r.Outcome, r.Scope}
	if v.Scope == 0 {
		v.Scope = ScopeAccount
	}
	t.rules[outcomeKey{ProviderName(r.Provider), plain(r.Code), r.Status}] = v
}

// plain is how codes and providers are compared.
func plain(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// ProviderName gives the name that a table's rules have for a provider: two names of one give the same.
func ProviderName(name string) string {
	name = plain(name)
	if known, ok := providerNames[name]; ok {
		return known
	}
	return name
}

// Resolve gives what an answer means. A code tells more than a status, a status more than its class, and at equal
// precision the provider's own rule goes before the one for any. It is zero when neither status nor code is given.
func (t *OutcomeTable) Resolve(provider string, status int, code string) Meaning {
	if code = plain(code); code == "" && status == 0 {
		return Meaning{}
	}
	own := ProviderName(provider)
	class := status
	for class >= 10 {
		class /= 10
	}
	keys := make([]outcomeKey, 0, 10)
	if code != "" {
		keys = append(keys, outcomeKey{own, code, status}, outcomeKey{own, code, class}, outcomeKey{own, code, 0},
			outcomeKey{"", code, status}, outcomeKey{"", code, class}, outcomeKey{"", code, 0})
	}
	if code == "" || class != 2 { // an error inside an answer that began well is no success
		keys = append(keys, outcomeKey{own, "", status}, outcomeKey{"", "", status}, outcomeKey{own, "", class}, outcomeKey{"", "", class})
	}
	for _, k := range keys {
		if v, ok := t.rules[k]; ok {
			return v
		}
	}
	return Meaning{OutcomeAccountError, ScopeAccount}
}

// Rules lists the table: by provider, any last, then code, then status.
func (t *OutcomeTable) Rules() []OutcomeRule {
	out := make([]OutcomeRule, 0, len(t.rules))
	for k, v := range t.rules { // order-free: sorted below
		out = append(out, OutcomeRule{Provider: k.provider, Status: k.status, Code: k.code, Outcome: v.Outcome, Scope: v.Scope})
	}
	last := func(r *OutcomeRule) int {
		if r.Provider == "" {
			return 1
		}
		return 0
	}
	slices.SortFunc(out, func(a, b OutcomeRule) int {
		return cmp.Or(cmp.Compare(last(&a), last(&b)), cmp.Compare(a.Provider, b.Provider),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Status, b.Status))
	})
	return out
}
