package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("x", 129)
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"empty":            {"", []string{"f.yaml:1: the file is empty"}},
		"only a comment":   {"# nothing\n", []string{"f.yaml:1: the file is empty"}},
		"not a mapping":    {"- a\n", []string{"f.yaml:1: must have fields (groups, accounts, policy, outcomes, server, memory, redis), is a list"}},
		"no accounts key":  {"groups: []\n", []string{"f.yaml:1: accounts: is required"}},
		"not yaml":         {"accounts: []\npolicy: {\n", []string{"not YAML:"}},
		"tab":              {"accounts:\n\t- id: a\n", []string{"f.yaml:2: not YAML:"}},
		"unknown anchor":   {"accounts: []\ngroups: *g\n", []string{"f.yaml:2: not YAML: unknown anchor"}},
		"alias":            {"accounts: []\ngroups: [&g a, *g]\n", []string{"f.yaml:2: groups[1]: an alias (*g) is not allowed"}},
		"two documents":    {"accounts: []\n---\naccounts: []\n", []string{"a second document begins: only one is allowed"}},
		"broken second":    {"accounts: []\n---\n{\n", []string{"not YAML:"}},
		"unknown field":    {"accounts: []\npolicy:\n  topk: 3\n", []string{"f.yaml:3: policy.topk: unknown field; allowed here: profile, weights, top_k"}},
		"duplicate key":    {"accounts: []\ngroups: [a]\ngroups: [b]\n", []string{"f.yaml:3: groups: is given twice, first on line 2"}},
		"merge key":        {"accounts: []\npolicy:\n  <<: {top_k: 1}\n", []string{"f.yaml:3: policy: a key must be text"}},
		"NaN":              {"accounts: []\npolicy:\n  weights:\n    load: .nan\n", []string{"f.yaml:4: policy.weights.load: must be a finite number, is \".nan\""}},
		"Inf":              {"accounts: []\npolicy: {ewma_alpha: -.inf}\n", []string{"f.yaml:2: policy.ewma_alpha: must be a finite number"}},
		"overflow":         {"accounts: []\npolicy: {weights: {ttft: 1e999}}\n", []string{"policy.weights.ttft: must be a number"}},
		"negative weight":  {"accounts: []\npolicy:\n  weights: {queue: -0.1}\n", []string{"f.yaml:3: policy.weights.queue: is -0.1; allowed: at least 0"}},
		"alpha of 0":       {"accounts: []\npolicy: {ewma_alpha: 0}\n", []string{"policy.ewma_alpha: is 0; allowed: above 0 and at most 1"}},
		"octal":            {"accounts: []\npolicy: {top_k: 010}\n", []string{"policy.top_k: must be a whole number, is \"010\""}},
		"fraction":         {"accounts: []\npolicy: {top_k: 1.5}\n", []string{"policy.top_k: must be a whole number"}},
		"negative":         {"accounts: []\npolicy: {top_k: -1}\n", []string{"policy.top_k: is -1; allowed: from 0 to 2147483647"}},
		"profile":          {"accounts: []\npolicy: {profile: best}\n", []string{"policy.profile: \"best\" is not allowed; allowed: recommended, reference"}},
		"no profile":       {"accounts: []\npolicy: {profile: }\n", []string{"policy.profile: must be text, is empty"}},
		"when full":        {"accounts: []\npolicy: {session: {when_full: queue}}\n", []string{"policy.session.when_full: \"queue\" is not allowed; allowed: wait, spill"}},
		"escape rate":      {"accounts: []\npolicy: {session: {escape: {error_rate: 1.5}}}\n", []string{"policy.session.escape.error_rate: is 1.5; allowed: from 0 to 1"}},
		"escape factor":    {"accounts: []\npolicy:\n  session:\n    escape: {ttft_factor: 1}\n", []string{"f.yaml:4: policy.session.escape.ttft_factor: is 1; allowed: 0 or above 1"}},
		"when unavailable": {"accounts: []\npolicy: {response: {when_unavailable: no}}\n", []string{"policy.response.when_unavailable: \"no\" is not allowed; allowed: fall_through, require_owner"}},
		"half-life":        {"accounts: []\npolicy: {half_life: -1s}\n", []string{"policy.half_life: is -1s; allowed: at least 0s"}},
		"cap below base":   {"accounts: []\npolicy:\n  cooldown:\n    overloaded: {base: 2m}\n", []string{"f.yaml:4: policy.cooldown.overloaded.cap: is 1m0s, below base, which is 2m0s"}},
		"jitter":           {"accounts: []\npolicy: {cooldown: {overloaded: {jitter: 2}}}\n", []string{"policy.cooldown.overloaded.jitter: is 2; allowed: from 0 to 1"}},
		"half open":        {"accounts: []\npolicy: {cooldown: {half_open: 1}}\n", []string{"policy.cooldown.half_open: must be true or false"}},
		"negative tenant":  {"accounts: []\npolicy: {tenants: {by_name: {a: {max_leases: -1}}}}\n", []string{"policy.tenants.by_name[\"a\"].max_leases: is -1; allowed: from 0"}},
		"unknown limit":    {"accounts: []\npolicy: {tenants: {default: {leases: 1}}}\n", []string{"policy.tenants.default.leases: unknown field; allowed here: max_leases, max_waiting"}},
		"long tenant":      {"accounts: []\npolicy: {tenants: {by_name: {" + long + ": {}}}}\n", []string{"has 129 bytes"}},
		"no meaning":       {"accounts: []\noutcomes: [{status: 429}]\n", []string{"f.yaml:2: outcomes[0].outcome: is required"}},
		"meaning":          {"accounts: []\noutcomes: [{status: 429, outcome: bad}]\n", []string{"outcomes[0].outcome: \"bad\" is not allowed; allowed: success, account_error"}},
		"no answer":        {"accounts: []\noutcomes:\n- {outcome: success}\n", []string{"f.yaml:3: outcomes[0]: status or code is needed"}},
		"status":           {"accounts: []\noutcomes: [{status: 42, outcome: success}]\n", []string{"outcomes[0].status: is 42; allowed: 100 to 599, or 1 to 5"}},
		"idle scope":       {"accounts: []\noutcomes: [{status: 401, outcome: auth_failed, scope: account}]\n", []string{"outcomes[0].scope: is only for rate_limited, quota_exhausted and overloaded; the outcome is auth_failed"}},
		"alias twice":      {"accounts: []\noutcomes:\n- {provider: claude, status: 429, outcome: success}\n- {provider: anthropic, status: 429, outcome: cancelled}\n", []string{"f.yaml:4: outcomes[1]: the same provider"}},
		"answer twice":     {"accounts: []\noutcomes:\n- {provider: p, code: C, outcome: success}\n- {provider: P, code: c, outcome: cancelled}\n", []string{"f.yaml:4: outcomes[1]: the same provider, status and code as in outcomes[0]"}},
		"number duration":  {"accounts: []\npolicy: {session: {ttl: 60}}\n", []string{"policy.session.ttl: must be a duration such as 250ms, 10s or 1h30m, is \"60\""}},
		"bad duration":     {"accounts: []\nserver:\n  drain_timeout: 10 s\n", []string{"f.yaml:3: server.drain_timeout: must be a duration"}},
		"negative time":    {"accounts: []\nserver: {drain_timeout: -1s}\n", []string{"server.drain_timeout: is -1s; allowed: from 0s to 24h"}},
		"short lease":      {"accounts: []\nserver: {lease_ttl: 10ms}\n", []string{"server.lease_ttl: is 10ms; allowed: from 1s to 24h"}},
		"yes":              {"accounts: []\nserver: {insecure: yes}\n", []string{"server.insecure: must be true or false, is text"}},
		"heartbeat":        {"accounts: []\nserver:\n  heartbeat: {interval: 5s, timeout: 5s}\n", []string{"f.yaml:3: server.heartbeat.timeout: is 5s, not above interval, which is 5s"}},
		"long interval":    {"accounts: []\nserver:\n  heartbeat:\n    interval: 10s\n", []string{"f.yaml:4: server.heartbeat.timeout: is 10s, not above interval"}},
		"no interval":      {"accounts: []\nserver: {heartbeat: {interval: 0s}}\n", []string{"server.heartbeat.interval: is 0s; allowed: from 100ms to 1h"}},
		"no grace":         {"accounts: []\nserver: {heartbeat: {grace: 0s}}\n", []string{"server.heartbeat.grace: is 0s; allowed: from 100ms to 24h"}},
		"lease age":        {"accounts: []\nserver: {max_lease_age: 5ms}\n", []string{"server.max_lease_age: is 5ms; allowed: 0s, or from 1s to 720h"}},
		"negative age":     {"accounts: []\nserver: {max_lease_age: -1s}\n", []string{"server.max_lease_age: is -1s; allowed: from 0s to 720h"}},
		"relative state":   {"accounts: []\nmemory: {state_file: state}\n", []string{"f.yaml:2: memory.state_file: is \"state\"; allowed: the absolute path of a file"}},
		"state folder":     {"accounts: []\nmemory: {state_file: /var/lib/usher/}\n", []string{"memory.state_file: is \"/var/lib/usher/\"; allowed: the absolute path"}},
		"state root":       {"accounts: []\nmemory: {state_file: /}\n", []string{"memory.state_file: is \"/\"; allowed"}},
		"state section":    {"accounts: []\nmemory: {state: /a}\n", []string{"memory.state: unknown field; allowed here: state_file"}},
		"level":            {"accounts: []\nserver: {log: {level: loud}}\n", []string{"server.log.level: \"loud\" is not allowed; allowed: debug, info, warn, error"}},
		"no address":       {"accounts: []\nserver: {listen: []}\n", []string{"server.listen: needs at least one address"}},
		"address":          {"accounts: []\nserver: {listen: [localhost]}\n", []string{"server.listen[0]: \"localhost\" is not HOST:PORT; allowed: HOST:PORT such as"}},
		"port":             {"accounts: []\nserver: {listen: ['h:http']}\n", []string{"no port from 0 to 65535"}},
		"relative socket":  {"accounts: []\nserver: {listen: ['unix:///' , 'unix:a.sock']}\n", []string{"server.listen[1]: \"unix:a.sock\" does not name an absolute path"}},
		"address twice":    {"accounts: []\nserver: {listen: ['h:1', 'h:1']}\n", []string{"server.listen[1]: \"h:1\" is given twice"}},
		"no id":            {"accounts:\n  - type: x\n", []string{"f.yaml:2: accounts[0].id: is required"}},
		"empty account":    {"accounts:\n  -\n", []string{"f.yaml:2: accounts[0].id: is required"}},
		"number as id":     {"accounts: [{id: 7}]\n", []string{"accounts[0].id: must be text, is a number: write \"7\""}},
		"blank id":         {"accounts: [{id: ' '}]\n", []string{"accounts[0].id: must not be blank"}},
		"padded id":        {"accounts: [{id: ' a'}]\n", []string{"accounts[0].id: begins or ends with white space"}},
		"long id":          {"accounts: [{id: " + long + "}]\n", []string{"accounts[0].id: has 129 bytes; allowed: at most 128"}},
		"control id":       {"accounts: [{id: \"a\\u0007b\"}]\n", []string{"accounts[0].id: has control characters"}},
		"same id":          {"accounts:\n  - id: a\n  - id: b\n  - id: a\n", []string{"f.yaml:4: accounts[2].id: \"a\" is the id of accounts[0] on line 2 already; ids must be unique"}},
		"long model":       {"accounts: [{id: a, models: {m: " + long + "}}]\n", []string{"accounts[0].models[\"m\"]: has 129 bytes"}},
		"long pattern":     {"accounts: [{id: a, models: {" + long + ": m}}]\n", []string{"has 129 bytes; allowed: at most 128"}},
		"blank upstream":   {"accounts: [{id: a, models: {m: ''}}]\n", []string{"accounts[0].models[\"m\"]: the upstream model must not be blank"}},
		"model without":    {"accounts: [{id: a, models: {m: }}]\n", []string{"accounts[0].models[\"m\"]: must be text, is empty"}},
		"undeclared group": {"groups: [x, y]\naccounts:\n  - id: a\n    groups: [z]\n", []string{"f.yaml:4: accounts[0].groups[0]: unknown group \"z\"; allowed (see groups): x, y"}},
		"group twice":      {"accounts: [{id: a, groups: [x, x]}]\n", []string{"accounts[0].groups[1]: \"x\" is given twice"}},
		"transport":        {"accounts: [{id: a, transports: [http]}]\n", []string{"accounts[0].transports[0]: \"http\" is not allowed; allowed: http_sse, responses_websockets, responses_websockets_v2"}},
		"state":            {"accounts:\n  - id: a\n    state: pasued\n", []string{"f.yaml:3: accounts[0].state: \"pasued\" is not allowed; allowed: active, draining, paused, disabled"}},
		"idle deadline":    {"accounts:\n  - id: a\n    drain_until: 2030-01-01T00:00:00Z\n", []string{"f.yaml:3: accounts[0].drain_until: is only for state draining; the state is active"}},
		"instant":          {"accounts: [{id: a, expires_at: 2030-01-01}]\n", []string{"accounts[0].expires_at: must be an instant such as 2030-01-31T18:00:00Z, is \"2030-01-01\""}},
		"all of them": {
			"accounts:\n  - id: a\n    sate: x\n    priority: high\npolicy:\n  top_k: x\nserver: 3\n",
			[]string{
				"f.yaml:3: accounts[0].sate: unknown field", "f.yaml:4: accounts[0].priority: must be a whole number, is \"high\"",
				"f.yaml:6: policy.top_k: must be a whole number", "f.yaml:7: server: must have fields",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(c.file))
			if err == nil {
				t.Fatal("was accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got\n%v\nwant in it\n%s", err, want)
				}
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != len(c.want) {
				t.Errorf("%d problems, want %d:\n%v", lines, len(c.want), err)
			}
		})
	}
}

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAreTheProfile(t *testing.T) {
	for text, want := range map[string]decide.Policy{
		"":                               decide.Recommended(),
		"policy: {profile: recommended}": decide.Recommended(),
		"policy: {session: {ttl: 1h}, profile: reference}": decide.Reference(),
	} {
		c := parsed(t, "accounts: []\n"+text)
		if diff := cmp.Diff(want, c.Policy.Decide()); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
		if diff := cmp.Diff(Default().Memory, c.Memory); diff != "" {
			t.Errorf("the example does not show the defaults: %s", diff)
		}
		if diff := cmp.Diff(Default().Server, c.Server); diff != "" {
			t.Error(diff)
		}
	}
}

// TestKnobs: each knob reaches core, and what is left out keeps the profile's value.
func TestKnobs(t *testing.T) {
	for text, change := range map[string]func(*decide.Policy){
		"half_life: 1m":                               func(p *decide.Policy) { p.HalfLife = time.Minute },
		"ttft_per_model: true":                        func(p *decide.Policy) { p.TTFTPerModel = true },
		"session: {when_full: spill}":                 func(p *decide.Policy) { p.SessionSpill = true },
		"session: {when_full: wait}":                  func(p *decide.Policy) { p.SessionSpill = false },
		"session: {escape: {error_rate: 0.25}}":       func(p *decide.Policy) { p.Escape.ErrorRate = 0.25 },
		"session: {escape: {ttft_factor: 2}}":         func(p *decide.Policy) { p.Escape.TTFTFactor = 2 },
		"session: {escape: {ttft_floor: 9ms}}":        func(p *decide.Policy) { p.Escape.TTFTFloor = 9 * time.Millisecond },
		"session: {escape: {length: 7s}}":             func(p *decide.Policy) { p.Escape.Length = 7 * time.Second },
		"response: {when_unavailable: require_owner}": func(p *decide.Policy) { p.ResponseRequireOwner = true },
		"cooldown: {max: 1h}":                         func(p *decide.Policy) { p.MaxCooldown = time.Hour },
		"cooldown: {half_open: false}":                func(p *decide.Policy) { p.HalfOpen = false },
		"cooldown: {half_open: true}":                 func(p *decide.Policy) { p.HalfOpen = true },
		"cooldown: {auth_failed_pauses: false}":       func(p *decide.Policy) { p.AuthFailedPauses = false },
		"cooldown: {auth_failed_pauses: true}":        func(p *decide.Policy) { p.AuthFailedPauses = true },
		"cooldown: {overloaded: {base: 2s, cap: 3s, jitter: 1}}": func(p *decide.Policy) {
			p.Overloaded = decide.Backoff{Base: 2 * time.Second, Cap: 3 * time.Second, Jitter: 1}
		},
		"tenants: {default: {max_leases: 3}, by_name: {a: {max_waiting: 4}, '': {}}}": func(p *decide.Policy) {
			p.Tenants = decide.Tenants{
				Default: decide.TenantLimit{MaxLeases: 3},
				ByName:  map[string]decide.TenantLimit{"a": {MaxWaiting: 4}, "": {}},
			}
		},
	} {
		for _, want := range []decide.Policy{decide.Recommended(), decide.Reference()} {
			c := parsed(t, "accounts: []\npolicy:\n  profile: "+want.Profile+"\n  "+text+"\n")
			change(&want)
			if diff := cmp.Diff(want, c.Policy.Decide()); diff != "" {
				t.Errorf("%s, %q: %s", want.Profile, text, diff)
			}
		}
	}
}

func TestOwnersAndState(t *testing.T) {
	c := parsed(t, "accounts: []\n")
	if got, want := c.Server.OwnerTerms(), (core.OwnerTerms{HeartbeatInterval: 3 * time.Second, HeartbeatTimeout: 10 * time.Second, OwnerGrace: 10 * time.Second}); got != want {
		t.Errorf("defaults: %+v, want %+v", got, want)
	}
	if c.Server.MaxLeaseAge != 0 || c.Memory.StateFile != "" {
		t.Errorf("defaults: %v, %q", c.Server.MaxLeaseAge, c.Memory.StateFile)
	}
	c = parsed(t, "accounts: []\nserver: {heartbeat: {interval: 1s, timeout: 2s, grace: 4s}, max_lease_age: 1h}\nmemory: {state_file: /s/f}\n")
	if got, want := c.Server.OwnerTerms(), (core.OwnerTerms{HeartbeatInterval: time.Second, HeartbeatTimeout: 2 * time.Second, OwnerGrace: 4 * time.Second}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if c.Server.MaxLeaseAge != time.Hour || c.Memory.StateFile != "/s/f" {
		t.Errorf("%v, %q", c.Server.MaxLeaseAge, c.Memory.StateFile)
	}
}

func TestOutcomes(t *testing.T) {
	c := parsed(t, "accounts: []\noutcomes:\n- {provider: OpenAI, status: 429, outcome: quota_exhausted, scope: model}\n- {code: Odd, outcome: client_error}\n")
	table, err := c.OutcomeTable()
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Resolve("openai", 429, ""); got != (core.Meaning{Outcome: core.OutcomeQuotaExhausted, Scope: core.ScopeModel}) {
		t.Errorf("429 is %+v", got)
	}
	if got := table.Resolve("", 500, "odd"); got.Outcome != core.OutcomeClientError {
		t.Errorf("odd is %+v", got)
	}
	if got := table.Resolve("", 500, ""); got.Outcome != core.OutcomeAccountError {
		t.Errorf("500 is %+v", got)
	}
}

func TestAccount(t *testing.T) {
	c, err := Parse("f.yaml", []byte(`
accounts:
  - {id: "7", type: oauth, provider: p, priority: -3, max_concurrency: 4, groups: [b, a], models: {"gpt-*": up},
     transports: [responses_websockets_v2], state: draining, drain_until: 2030-01-01T02:00:00+02:00, status: error,
     schedulable: false, temp_unschedulable_until: "2030-01-02T00:00:00Z", rate_limited_until: 2030-01-03T00:00:00Z,
     overloaded_until: 2030-01-04T00:00:00Z, expires_at: 2030-01-05T00:00:00Z, auto_pause_on_expired: false,
     model_limits: {up: 2030-01-06T00:00:00Z}}
  - id: plain
`))
	if err != nil {
		t.Fatal(err)
	}
	day := func(n int) time.Time { return time.Date(2030, 1, n, 0, 0, 0, 0, time.UTC) }
	want := []pool.Account{
		{
			ID: "7", Type: "oauth", Provider: "p", Priority: -3, MaxConcurrency: 4, Groups: []string{"b", "a"},
			Transports: pool.TransportsOf(pool.ResponsesWebSocketsV2), State: pool.Draining, DrainUntil: day(1),
			Status: pool.StatusError, Unschedulable: true, TempUnschedulableUntil: day(2), RateLimitedUntil: day(3),
			OverloadedUntil: day(4), ExpiresAt: day(5), ModelLimits: map[string]time.Time{"up": day(6)},
		},
		{ID: "plain", AutoPauseOnExpired: true},
	}
	got := c.Pool()
	if up, ok := got[0].Models.Map("gpt-9"); up != "up" || !ok {
		t.Errorf("gpt-9 maps to %q, %v", up, ok)
	}
	got[0].Models = pool.Models{}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(pool.Models{})); diff != "" {
		t.Error(diff)
	}
}

func TestExampleIsValid(t *testing.T) {
	c, err := Load("../../../docs/usher.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Accounts) == 0 {
		t.Error("no accounts")
	}
	if diff := cmp.Diff(Default().Policy, c.Policy); diff != "" {
		t.Errorf("the example does not show the defaults: %s", diff)
	}
	if diff := cmp.Diff(Default().Server, c.Server); diff != "" {
		t.Errorf("the example does not show the defaults: %s", diff)
	}
}

func TestLoadTellsWhatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none.yaml")); err == nil || !strings.Contains(err.Error(), "there is no such file") {
		t.Errorf("missing: %v", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "this is a directory") {
		t.Errorf("directory: %v", err)
	}
	path := filepath.Join(dir, "f.yaml")
	if err := os.WriteFile(path, []byte("acounts: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path+":1: acounts: unknown field") {
		t.Errorf("invalid: %v", err)
	}
}

func TestManyProblemsAreCutShort(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("accounts:\n")
	for range 200 {
		b.WriteString("  - {}\n")
	}
	_, err := Parse("f.yaml", b.Bytes())
	if err == nil || strings.Count(err.Error(), "\n") != mostShown || !strings.HasSuffix(err.Error(), "and 150 more") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse: whatever the bytes are, an error has a line for each problem, and what is accepted core accepts too.
func FuzzParse(f *testing.F) {
	f.Add(Example)
	f.Add([]byte("accounts: [{id: a, models: {'*': b}}]\npolicy: {weights: {load: 1e3}}\n"))
	f.Add([]byte("accounts: []\npolicy: {session: {escape: {ttft_factor: 1.1}}, cooldown: {overloaded: {base: 1s}}}\noutcomes: [{status: 5, outcome: overloaded}]"))
	f.Add([]byte("a: &a [*a]\n--- !!x {? [] : *a}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f.yaml", data)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "f.yaml:") {
					t.Fatalf("a line without a place: %q", line)
				}
			}
			return
		}
		if _, err := c.OutcomeTable(); err != nil {
			t.Fatalf("core refuses the outcomes: %v", err)
		}
		policy := c.Policy.Decide()
		if faults := policy.Validate(); len(faults) > 0 {
			t.Fatalf("core refuses the policy: %v", faults)
		}
		if _, err := pool.NewSet(c.Pool()); err != nil {
			t.Fatalf("core refuses the accounts: %v", err)
		}
	})
}
