package pool

import (
	"slices"
	"testing"
	"time"
)

func ids(accounts []*Account) []string {
	var out []string
	for _, a := range accounts {
		out = append(out, a.ID)
	}
	return out
}

func mustSet(t *testing.T, accounts ...Account) *Set {
	t.Helper()
	s, err := NewSet(accounts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewSetRefuses(t *testing.T) {
	for _, accounts := range [][]Account{{{ID: ""}}, {{ID: " \u3000"}}, {{ID: "a"}, {ID: "b"}, {ID: "a"}}} {
		if _, err := NewSet(accounts); err == nil {
			t.Errorf("%v was taken", accounts)
		}
	}
	if s := mustSet(t); s.Len() != 0 || len(s.Members("")) != 0 {
		t.Error("an empty set is a set")
	}
}

func TestSetCopies(t *testing.T) {
	limits := map[string]time.Time{"m": time.Unix(1, 0)}
	in := []Account{{ID: "a", Groups: []string{"y", "x", "x"}, ModelLimits: limits}}
	s := mustSet(t, in...)
	in[0].Groups[0], in[0].ID = "changed", "changed"
	delete(limits, "m")
	a, ok := s.Lookup("a")
	if !ok || !slices.Equal(a.Groups, []string{"x", "y"}) || len(a.ModelLimits) != 1 {
		t.Errorf("got %+v", a)
	}
	if a.Transports != TransportsOf(HTTPSSE) {
		t.Error("no transport is plain HTTP")
	}
}

func TestSetGroups(t *testing.T) {
	s := mustSet(t,
		Account{ID: "3", Groups: []string{"b", "a"}}, Account{ID: "1"}, Account{ID: "2", Groups: []string{"a", ""}})
	if got := s.Groups(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("Groups = %v", got)
	}
	for group, want := range map[string][]string{"": {"3", "1", "2"}, "a": {"3", "2"}, "b": {"3"}, "c": nil} {
		if got := ids(s.Members(group)); !slices.Equal(got, want) {
			t.Errorf("Members(%q) = %v", group, got)
		}
		if s.HasGroup(group) != (want != nil) {
			t.Errorf("HasGroup(%q)", group)
		}
		for _, a := range s.Members("") {
			if a.InGroup(group) != slices.Contains(want, a.ID) {
				t.Errorf("%s.InGroup(%q)", a.ID, group)
			}
		}
	}
	if i, ok := s.Index("2"); i != 2 || !ok || s.At(2).ID != "2" {
		t.Error("Index")
	}
	if a, ok := s.Lookup("9"); a != nil || ok {
		t.Error("Lookup of an unknown id")
	}
}

func TestView(t *testing.T) {
	v2 := TransportsOf(ResponsesWebSocketsV2)
	s := mustSet(t,
		Account{ID: "9", Groups: []string{"g"}, Provider: "p", Transports: v2, Ordinal: 5, MaxConcurrency: -1},
		Account{ID: "10", Groups: []string{"g"}, Provider: "q", Ordinal: 4, MaxConcurrency: 1 << 40},
		Account{
			ID: "x", Groups: []string{"g"}, Provider: "p", Ordinal: 3, MaxConcurrency: 3, Priority: -2,
			Models: NewModels(map[string]string{"m*": "up"}), State: Draining,
		},
		Account{ID: "8", Provider: "p", Ordinal: 2})
	cases := []struct {
		q    Query
		want []int32
	}{
		{Query{}, []int32{5, 4, 3, 2}},
		{Query{Group: "g"}, []int32{5, 4, 3}},
		{Query{Group: "none"}, nil},
		{Query{Group: "g", Provider: "p"}, []int32{5, 3}},
		{Query{Model: "other"}, []int32{5, 4, 2}},
		{Query{Transport: ResponsesWebSocketsV2}, []int32{5}},
		{Query{Transport: HTTPSSE}, []int32{5, 4, 3, 2}},
		{Query{Transport: TransportUnsupported}, nil},
	}
	for _, c := range cases {
		v := s.View(c.q)
		if !slices.Equal(v.Ordinals(), c.want) || v.Len() != len(c.want) {
			t.Errorf("%+v: %v", c.q, v.Ordinals())
		}
		if v.Members() != len(s.Members(c.q.Group)) || v.Set() != s || v.Query() != c.q {
			t.Errorf("%+v: %d members", c.q, v.Members())
		}
	}
	v := s.View(Query{Group: "g", Model: "mm"})
	want := []Row{
		{Index: 0, Ordinal: 5, IDRank: 1, Quiet: true},
		{Index: 1, Ordinal: 4, IDRank: 2, Limit: 1<<31 - 1, Quiet: true},
		{Index: 2, Ordinal: 3, IDRank: 3, Limit: 3, Priority: -2},
	}
	if !slices.Equal(v.Rows(), want) || v.Quiet() {
		t.Errorf("rows %+v", v.Rows())
	}
	if v.Account(2).ID != "x" || v.Upstream(2) != "up" || v.Upstream(0) != "mm" {
		t.Error("account or upstream of a row")
	}
}

func TestQuiet(t *testing.T) {
	at := time.Unix(1, 0)
	quiet := []Account{{}, {ExpiresAt: at}, {AutoPauseOnExpired: true}, {DrainUntil: at}}
	loud := []Account{
		{State: Draining},
		{State: Paused},
		{State: Disabled},
		{Status: StatusError},
		{Status: StatusUnknown},
		{Unschedulable: true},
		{TempUnschedulableUntil: at},
		{RateLimitedUntil: at},
		{OverloadedUntil: at},
		{ExpiresAt: at, AutoPauseOnExpired: true},
		{ModelLimits: map[string]time.Time{"m": at}},
	}
	for i := range quiet {
		if !quiet[i].Quiet() {
			t.Errorf("%+v is quiet", quiet[i])
		}
	}
	for i := range loud {
		if loud[i].Quiet() {
			t.Errorf("%+v is not quiet", loud[i])
		}
	}
}
