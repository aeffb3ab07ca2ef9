package redisstore

import (
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"usher.internal/core"
	"usher.internal/store/storetest"
	"usher.internal/store/storetest/redistest"
)

func TestFaultsOfVersions(t *testing.T) {
	for name, c := range map[string]struct {
		info string
		want []string
	}{
		"Redis":    {"# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n", nil},
		"Valkey":   {"server_name:valkey\r\nredis_version:7.2.4\r\nvalkey_version:8.1.0\r\nmaxmemory_policy:noeviction\r\n", nil},
		"old":      {"redis_version:6.2.16\r\nmaxmemory_policy:noeviction\r\n", []string{"its version is 6.2.16; needed is Redis 7.0"}},
		"evicting": {"redis_version:8.0.0\r\nmaxmemory_policy:allkeys-lru\r\n", []string{"its maxmemory-policy is allkeys-lru"}},
		"silent":   {"# Stats\r\n", []string{"its version could not be checked", "its maxmemory-policy could not be checked"}},
	} {
		got := faultsIn(c.info)
		if !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// faultsOf gives what is told of a server to one who comes in like that.
func faultsOf(t *testing.T, server Server) string {
	t.Helper()
	s := open(t, Options{Server: server, Budget: 20 * time.Second})
	faults, err := s.Faults(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range faults {
		all = append(all, f.Text)
	}
	return strings.Join(all, "; ")
}

func TestFaults(t *testing.T) {
	if !redistest.Available() {
		return
	}
	server := redistest.Single(t, redistest.Users("user blind on >secret ~* &* +@all -info -config"))
	if got := faultsOf(t, single(server.Addr())); got != "" {
		t.Errorf("as it should be: %s", got)
	}
	server.Must("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
	if got := faultsOf(t, single("unix://"+server.Socket())); !strings.Contains(got, "its maxmemory-policy is volatile-lru") {
		t.Errorf("evicting: %q", got)
	}
	blind := single(server.Addr())
	blind.User, blind.Password = "blind", "secret"
	if got := faultsOf(t, blind); !strings.Contains(got, "could not be checked") || strings.Contains(got, blind.Password) {
		t.Errorf("without INFO: %q", got)
	}
	gone, err := New(Options{Server: single("127.0.0.1:1")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gone.Close() }()
	if _, err := gone.Faults(t.Context()); core.KindOf(err) != core.KindStoreUnavailable {
		t.Errorf("nobody there: %v", err)
	}
}

// aclRule gives the user that docs/operations.md says to make, for a namespace.
func aclRule(t *testing.T, namespace string) string {
	t.Helper()
	return strings.ReplaceAll(ruleOf(t, "usher"), "NAMESPACE", namespace)
}

// watchRule gives the user of the Sentinels that docs/operations.md says to make.
func watchRule(t *testing.T) string {
	t.Helper()
	return ruleOf(t, "usher-watch")
}

func ruleOf(t *testing.T, user string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "user "+user+" on ") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("docs/operations.md has no rule for %s", user)
	return ""
}

func restricted(address string) Server {
	server := single(address)
	server.User, server.Password = "usher", "PASSWORD"
	return server
}

// TestRuleNamesWhatScriptsCall: no more commands and no fewer, also where no test comes by. The rest is what the client says.
func TestRuleNamesWhatScriptsCall(t *testing.T) {
	allowed := strings.Fields("eval evalsha publish spublish subscribe unsubscribe ssubscribe sunsubscribe ping info select role " +
		"client|setname cluster|slots cluster|shards")
	files, err := luaFiles.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := luaFiles.ReadFile("lua/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`call\('([A-Z]+)'`).FindAllSubmatch(text, -1) {
			allowed = append(allowed, strings.ToLower(string(found[1])))
		}
	}
	slices.Sort(allowed)
	var told []string
	for _, word := range strings.Fields(aclRule(t, "x")) {
		if command, ok := strings.CutPrefix(word, "+"); ok {
			told = append(told, command)
		}
	}
	slices.Sort(told)
	if want := slices.Compact(allowed); !slices.Equal(told, want) {
		t.Errorf("docs/operations.md allows\n%v, want\n%v", told, want)
	}
}

// restrictedHarness is realHarness without a look at what the store left behind, which needs more than the store does.
func restrictedHarness(server Server) storetest.Harness {
	clock := storetest.NewClock()
	options := suiteOptions(server, clock)
	options.fakeNow = clock.Now
	made := 0
	return storetest.Harness{
		New: func(t storetest.TB) core.Store {
			made++
			options.Namespace = strconv.Itoa(made)
			return open(t, options)
		},
		Peer:    func(t storetest.TB) core.Store { return open(t, options) },
		Advance: clock.Advance,
	}
}

// TestRestrictedUser: the user of docs/operations.md is allowed all that a store does, and nothing beside its namespace.
func TestRestrictedUser(t *testing.T) {
	t.Parallel()
	if !redistest.Available() {
		return
	}
	t.Run("suite", func(t *testing.T) {
		server := redistest.Single(t, redistest.Users(aclRule(t, "*")))
		storetest.Run(t, restrictedHarness(restricted("unix://"+server.Socket())))
		if denied := server.Must("ACL", "LOG"); denied != "[]" {
			t.Errorf("docs/operations.md forbids what the store does: %s", denied)
		}
	})
	t.Run("namespace and database", func(t *testing.T) {
		server := redistest.Single(t, redistest.Users(aclRule(t, "one")))
		at := restricted(server.Addr())
		at.Database = 3
		own := open(t, Options{Server: at, Namespace: "one", Budget: 20 * time.Second})
		if _, err := own.Secret(t.Context()); err != nil {
			t.Errorf("its own: %v", err)
		}
		if faults, err := own.Faults(t.Context()); err != nil || len(faults) > 0 {
			t.Errorf("faults %v, %v", faults, err)
		}
		if denied := server.Must("ACL", "LOG"); denied != "[]" {
			t.Errorf("docs/operations.md forbids what the store does: %s", denied)
		}
		other, err := New(Options{Server: at, Namespace: "two", Budget: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		<-other.conn.up
		if _, err := other.Secret(t.Context()); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("another's: %v", err)
		}
	})
}

// TestLackOfRightsIsTold: nobody is left to guess why waiters are woken late, or why no slot is where it is looked for.
func TestLackOfRightsIsTold(t *testing.T) {
	t.Parallel()
	if !redistest.Available() {
		return
	}
	rule := aclRule(t, "one")
	server := redistest.Single(t, redistest.With("cluster-enabled", "yes"), redistest.Users(
		strings.NewReplacer("user usher ", "user deaf ", "&usher:{one}:*", "").Replace(rule),
		strings.NewReplacer("user usher ", "user lost ", "+cluster|slots", "").Replace(rule),
	))
	for user, want := range map[string]string{"deaf": "hear no signals", "lost": "no permissions to run the 'cluster|slots' command"} {
		at := restricted(server.Addr())
		at.User, at.Cluster = user, user == "lost"
		book := &lines{}
		s, err := New(Options{Server: at, Namespace: "one", Logger: slog.New(slog.NewTextHandler(book, nil))})
		must(t, err)
		until(t, "what "+user+" lacks is told", func() bool {
			_, err := s.conn.get()
			return strings.Contains(book.String(), want) || err != nil && strings.Contains(err.Error(), want)
		})
		must(t, s.Close())
	}
}

// grant takes a slot of the first account.
func grant(t *testing.T, s *Store, id core.LeaseID) core.LeaseID {
	t.Helper()
	take := &core.FirstTake{Grant: core.Grant{ID: id, TTL: time.Minute}, Order: []core.Choice{{Ordinal: 0}}}
	out, err := s.TakeFirst(t.Context(), take)
	if err != nil || out.Status != core.FirstTook {
		t.Fatalf("%v, %v", out.Status, err)
	}
	return out.Lease.ID
}

// TestKeeps: a lease is its grantor's to look after, until another replica renews it or it ends.
func TestKeeps(t *testing.T) {
	server := miniredis.RunT(t)
	options := Options{Server: single(server.Addr()), Budget: 20 * time.Second}
	a, b := open(t, options), open(t, options)
	for _, s := range []*Store{a, b} {
		if err := s.Register(t.Context(), &core.Roster{Accounts: []core.RosterEntry{{ID: "x"}}}); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(when string, wantA, wantB bool) {
		t.Helper()
		gotA, errA := a.Keeps(t.Context())
		gotB, errB := b.Keeps(t.Context())
		if errA != nil || errB != nil || gotA != wantA || gotB != wantB {
			t.Errorf("%s: %v and %v, want %v and %v; %v, %v", when, gotA, gotB, wantA, wantB, errA, errB)
		}
	}
	keep("at first", false, false)
	for n := range 200 { // more than one step
		grant(t, b, core.LeaseID{1, byte(n)})
	}
	keep("b granted", false, true)
	id := grant(t, a, core.LeaseID{2})
	keep("both granted", true, true)
	if err := b.Renew(t.Context(), []core.Renewal{{Lease: id, TTL: time.Minute}}, make([]core.Renewed, 1)); err != nil {
		t.Fatal(err)
	}
	keep("b renewed a's", false, true)
}
