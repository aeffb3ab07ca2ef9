package core_test

import (
	"slices"
	"strings"
	"testing"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// TestWhoPays is the table of outcomes: the sample of the error rate, and what keeps the account away.
func TestWhoPays(t *testing.T) {
	table := map[core.Outcome]struct {
		counts, failed bool
		cools          decide.Reason
	}{
		core.OutcomeSuccess:         {true, false, decide.None},
		core.OutcomeAccountError:    {true, true, decide.None},
		core.OutcomeUpstreamTimeout: {true, true, decide.None},
		core.OutcomeClientError:     {false, false, decide.None},
		core.OutcomeCancelled:       {false, false, decide.None},
		core.OutcomeCallerTimeout:   {false, false, decide.None},
		core.OutcomeRateLimited:     {true, true, decide.RateLimited},
		core.OutcomeQuotaExhausted:  {true, true, decide.QuotaExhausted},
		core.OutcomeAuthFailed:      {true, true, decide.AuthFailed},
		core.OutcomeOverloaded:      {true, true, decide.Overloaded},
	}
	if len(table) != len(core.Outcomes()) {
		t.Errorf("%d of %d outcomes", len(table), len(core.Outcomes()))
	}
	for o, want := range table {
		if counts, failed := o.Sampled(); counts != want.counts || failed != want.failed || o.Cools() != want.cools {
			t.Errorf("%v: %v %v, cools %v", o, counts, failed, o.Cools())
		}
		if again, ok := core.ParseOutcome(o.String()); !ok || again != o {
			t.Errorf("%v is not read back", o)
		}
	}
	if _, ok := core.ParseOutcome("unspecified"); ok || core.Outcome(99).String() != "invalid" {
		t.Error("what is none is read")
	}
	if counts, _ := core.Outcome(0).Sampled(); counts {
		t.Error("an end without an outcome is a sample")
	}
	for _, s := range []core.LimitScope{0, core.ScopeAccount, core.ScopeModel} {
		if again, ok := core.ParseScope(s.String()); !ok || again != s {
			t.Errorf("scope %d is not read back", s)
		}
	}
}

func shipped(t *testing.T, overrides ...core.OutcomeRule) *core.OutcomeTable {
	t.Helper()
	table, err := core.NewOutcomeTable(overrides)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestResolve(t *testing.T) {
	const account, model = core.ScopeAccount, core.ScopeModel
	table := shipped(t)
	for _, c := range []struct {
		provider string
		status   int
		code     string
		outcome  core.Outcome
		scope    core.LimitScope
	}{
		{"", 0, "", 0, 0},
		{"openai", 0, " ", 0, 0},
		{"", 200, "", core.OutcomeSuccess, account},
		{"mine", 204, "", core.OutcomeSuccess, account},
		{"", 200, "odd", core.OutcomeAccountError, account},
		{"", 0, "odd", core.OutcomeAccountError, account},
		{"", 101, "", core.OutcomeAccountError, account},
		{"", 302, "", core.OutcomeAccountError, account},
		{"", 400, "", core.OutcomeClientError, account},
		{"", 400, "odd", core.OutcomeClientError, account},
		{"", 401, "", core.OutcomeAuthFailed, account},
		{"", 402, "", core.OutcomeQuotaExhausted, account},
		{"", 403, "", core.OutcomeAccountError, account},
		{"", 404, "", core.OutcomeClientError, account},
		{"", 408, "", core.OutcomeUpstreamTimeout, account},
		{"", 422, "", core.OutcomeClientError, account},
		{"", 429, "", core.OutcomeRateLimited, account},
		{"", 499, "", core.OutcomeCancelled, account},
		{"", 500, "", core.OutcomeAccountError, account},
		{"", 502, "odd", core.OutcomeAccountError, account},
		{"", 503, "", core.OutcomeOverloaded, account},
		{"", 504, "", core.OutcomeUpstreamTimeout, account},
		{"", 524, "", core.OutcomeUpstreamTimeout, account},
		{"", 529, "", core.OutcomeOverloaded, account},
		{"", 777, "", core.OutcomeAccountError, account},
		{"", -5, "", core.OutcomeAccountError, account},
		{"deepseek", 429, "insufficient_quota", core.OutcomeQuotaExhausted, account},

		{"openai", 429, "", core.OutcomeRateLimited, model},
		{" OpenAI ", 429, "Rate_Limit_Exceeded ", core.OutcomeRateLimited, model},
		{"openai", 429, "insufficient_quota", core.OutcomeQuotaExhausted, account},
		{"openai", 429, "usage_limit_reached", core.OutcomeQuotaExhausted, account},
		{"openai", 200, "server_is_overloaded", core.OutcomeOverloaded, model},
		{"openai", 503, "slow_down", core.OutcomeOverloaded, model},
		{"openai", 400, "context_length_exceeded", core.OutcomeClientError, account},
		{"openai", 401, "invalid_api_key", core.OutcomeAuthFailed, account},
		{"openai", 403, "unsupported_country_region_territory", core.OutcomeAccountError, account},

		{"anthropic", 529, "overloaded_error", core.OutcomeOverloaded, account},
		{"claude", 200, "overloaded_error", core.OutcomeOverloaded, account},
		{"anthropic", 429, "rate_limit_error", core.OutcomeRateLimited, model},
		{"anthropic", 429, "enforced_spend_limit_reached", core.OutcomeQuotaExhausted, account},
		{"anthropic", 402, "billing_error", core.OutcomeQuotaExhausted, account},
		{"anthropic", 401, "authentication_error", core.OutcomeAuthFailed, account},
		{"anthropic", 403, "permission_error", core.OutcomeAccountError, account},
		{"anthropic", 400, "invalid_request_error", core.OutcomeClientError, account},
		{"anthropic", 504, "timeout_error", core.OutcomeUpstreamTimeout, account},

		{"gemini", 429, "RESOURCE_EXHAUSTED", core.OutcomeRateLimited, model},
		{"vertex", 503, "UNAVAILABLE", core.OutcomeOverloaded, model},
		{"google", 400, "API_KEY_INVALID", core.OutcomeAuthFailed, account},
		{"google", 400, "INVALID_ARGUMENT", core.OutcomeClientError, account},
		{"google", 504, "DEADLINE_EXCEEDED", core.OutcomeUpstreamTimeout, account},

		{"azure_openai", 429, "", core.OutcomeRateLimited, model},
		{"azure", 429, "NoCapacity", core.OutcomeOverloaded, model},
		{"azure", 400, "content_filter", core.OutcomeClientError, account},
		{"azure", 401, "", core.OutcomeAuthFailed, account},

		{"bedrock", 429, "ThrottlingException", core.OutcomeRateLimited, model},
		{"bedrock", 429, "ModelNotReadyException", core.OutcomeOverloaded, model},
		{"aws_bedrock", 400, "ServiceQuotaExceededException", core.OutcomeQuotaExhausted, model},
		{"bedrock", 424, "ModelErrorException", core.OutcomeAccountError, account},
		{"bedrock", 403, "AccessDeniedException", core.OutcomeAccountError, account},
		{"bedrock", 403, "ExpiredTokenException", core.OutcomeAuthFailed, account},
	} {
		if got := table.Resolve(c.provider, c.status, c.code); got.Outcome != c.outcome || got.Scope != c.scope {
			t.Errorf("%s %d %q: %v on %v, want %v on %v", c.provider, c.status, c.code, got.Outcome, got.Scope, c.outcome, c.scope)
		}
	}
}

// TestResolveOrder: a code before a status, an exact status before its class, the provider's before any.
func TestResolveOrder(t *testing.T) {
	const p, code = "mine", "c"
	all := []core.OutcomeRule{ // by precedence
		{Provider: p, Code: code, Status: 418, Outcome: core.OutcomeSuccess},
		{Provider: p, Code: code, Status: 4, Outcome: core.OutcomeClientError},
		{Provider: p, Code: code, Outcome: core.OutcomeRateLimited},
		{Code: code, Status: 418, Outcome: core.OutcomeQuotaExhausted},
		{Code: code, Status: 4, Outcome: core.OutcomeAccountError},
		{Code: code, Outcome: core.OutcomeAuthFailed},
		{Provider: p, Status: 418, Outcome: core.OutcomeOverloaded},
		{Status: 418, Outcome: core.OutcomeUpstreamTimeout},
		{Provider: p, Status: 4, Outcome: core.OutcomeCancelled},
		{Status: 4, Outcome: core.OutcomeCallerTimeout},
	}
	for i := range all {
		rules := slices.Clone(all[i:])
		slices.Reverse(rules)
		if got := shipped(t, rules...).Resolve(" MINE", 418, "C "); got.Outcome != all[i].Outcome {
			t.Errorf("without the first %d: %v, want %v", i, got.Outcome, all[i].Outcome)
		}
	}
	if core.ProviderName(" Claude") != "anthropic" || core.ProviderName("Mine") != "mine" {
		t.Error("names of providers")
	}
	replaced := shipped(t, core.OutcomeRule{Provider: "Claude", Code: "Overloaded_Error", Outcome: core.OutcomeRateLimited, Scope: core.ScopeModel})
	if got := replaced.Resolve("anthropic", 529, "overloaded_error"); got != (core.Meaning{Outcome: core.OutcomeRateLimited, Scope: core.ScopeModel}) {
		t.Errorf("an override under another name of the provider: %v", got)
	}
	if a, b := len(replaced.Rules()), len(shipped(t).Rules()); a != b {
		t.Errorf("it is one rule more: %d and %d", a, b)
	}
}

func TestOutcomeRuleFaults(t *testing.T) {
	for want, rule := range map[string]core.OutcomeRule{
		"outcomes[0]: outcome is not known":                                    {Status: 429},
		"outcomes[0]: scope is not known":                                      {Status: 429, Outcome: 1, Scope: 7},
		"outcomes[0]: status or code is needed":                                {Provider: "x", Code: " ", Outcome: 1},
		"outcomes[0]: status must be 100 to 599, or 1 to 5 for a class, is 42": {Status: 42, Outcome: 1},
	} {
		_, err := core.NewOutcomeTable([]core.OutcomeRule{rule})
		isKind(t, err, core.KindInvalidPool)
		if err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestRulesListed: the same list every time, each rule once, and each is what Resolve follows.
func TestRulesListed(t *testing.T) {
	table := shipped(t)
	rules := table.Rules()
	if !slices.Equal(rules, shipped(t).Rules()) {
		t.Error("two lists differ")
	}
	if rules[0].Provider != "anthropic" || rules[len(rules)-1].Provider != "" {
		t.Errorf("from %+v to %+v", rules[0], rules[len(rules)-1])
	}
	for i, r := range rules {
		if got := table.Resolve(r.Provider, r.Status, r.Code); got.Outcome != r.Outcome || got.Scope != r.Scope {
			t.Errorf("%+v resolves to %+v", r, got)
		}
		if r.Code != strings.ToLower(r.Code) || r.Scope == 0 || i > 0 && r == rules[i-1] {
			t.Errorf("%+v", r)
		}
	}
	listed, err := core.NewOutcomeTable(rules)
	if err != nil || !slices.Equal(listed.Rules(), rules) {
		t.Errorf("a list is no table: %v", err)
	}
}
