package pool

import (
	"maps"
	"strings"
	"testing"
)

func TestModelsMap(t *testing.T) {
	mapping := map[string]string{
		"gpt-5": "exact", "gpt-*": "short", "gpt-5*": "long", "gpt-*-codex": "middle", "o*": " o3 ", "empty": "",
	}
	cases := []struct {
		model, upstream string
		ok              bool
	}{
		{"gpt-5", "exact", true},
		{"gpt-5.1", "long", true},
		{"gpt-4-codex", "short", true},
		{"gpt-*-codex", "middle", true},
		{"gpt-", "short", true},
		{"gpt-5*", "long", true},
		{"GPT-5", "GPT-5", false},
		{" gpt-5", " gpt-5", false},
		{"o", " o3 ", true},
		{"empty", "", true},
		{"claude", "claude", false},
		{" ", " ", false},
		{"", "", true},
	}
	m := NewModels(mapping)
	for _, c := range cases {
		if got, ok := m.Map(c.model); got != c.upstream || ok != c.ok {
			t.Errorf("Map(%q) = %q, %v, want %q, %v", c.model, got, ok, c.upstream, c.ok)
		}
	}
}

func TestModelsBlank(t *testing.T) {
	cases := []struct {
		mapping map[string]string
		want    string
	}{
		{nil, ""},
		{map[string]string{"a": "b"}, ""},
		{map[string]string{"": "any"}, "any"},
		{map[string]string{"*": "star"}, "star"},
	}
	for _, c := range cases {
		if got, ok := NewModels(c.mapping).Map(""); got != c.want || !ok {
			t.Errorf("%v: Map(\"\") = %q, %v", c.mapping, got, ok)
		}
	}
	if up, ok := (Models{}).Map("x"); up != "x" || !ok || !NewModels(nil).Empty() {
		t.Error("the zero value maps every model to itself")
	}
}

func FuzzModelsMap(f *testing.F) {
	f.Add("gpt-5", "a", "gpt-*", "b", "gpt-5*", "c", "gpt-5.1")
	f.Add("", "a", "*", "b", "**", "c", "*")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2, k3, v3, model string) {
		mapping := map[string]string{k1: v1, k2: v2, k3: v3}
		got, ok := NewModels(mapping).Map(model)
		want, wantOK := slowMap(mapping, model)
		if got != want || ok != wantOK {
			t.Fatalf("%q: Map(%q) = %q, %v, want %q, %v", mapping, model, got, ok, want, wantOK)
		}
	})
}

// slowMap tries every prefix of the model, the longest first.
func slowMap(mapping map[string]string, model string) (string, bool) {
	if to, ok := mapping[model]; ok {
		return to, true
	}
	for n := len(model); n >= 0; n-- {
		if to, ok := mapping[model[:n]+"*"]; ok {
			return to, true
		}
	}
	return model, strings.Compare(model, "") == 0
}

func TestMapping(t *testing.T) {
	mapping := map[string]string{"gpt-5": "exact", "gpt-*": "short"}
	m := NewModels(mapping)
	got := m.Mapping()
	if !maps.Equal(got, mapping) {
		t.Errorf("made of %v, told %v", mapping, got)
	}
	got["gpt-5"] = "spoilt"
	if up, _ := m.Map("gpt-5"); up != "exact" {
		t.Errorf("the mapping changed with its copy: %q", up)
	}
	if (Models{}).Mapping() != nil {
		t.Error("no mapping is not told as none")
	}
}
