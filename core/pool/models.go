package pool

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Models is a compiled mapping from requested model patterns to upstream models.
// The zero value maps every model to itself. It is immutable; copies share it.
type Models struct {
	exact map[string]string
	wild  []wildcard // longest prefix first
}

type wildcard struct{ prefix, upstream string }

// NewModels compiles a mapping. Only a final * is a wildcard; everything else,
// case and white space included, is matched as it stands. An empty mapping maps every model to itself.
func NewModels(mapping map[string]string) Models {
	var m Models
	if len(mapping) == 0 {
		return m
	}
	m.exact = make(map[string]string, len(mapping))
	for pattern, upstream := range mapping { // order-free: exact is a map, wild is sorted below by what is distinct
		// A pattern that ends in * is also its own literal name.
		m.exact[pattern] = upstream
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			m.wild = append(m.wild, wildcard{prefix, upstream})
		}
	}
	slices.SortFunc(m.wild, func(a, b wildcard) int {
		return cmp.Or(cmp.Compare(len(b.prefix), len(a.prefix)), cmp.Compare(a.prefix, b.prefix))
	})
	return m
}

// Map gives the upstream model for a requested one and whether the account serves it.
// The blank model is any model and always served. What no pattern matches keeps
// its own name, under which a per-model limit can still be looked up.
func (m Models) Map(model string) (upstream string, ok bool) {
	if len(m.exact) == 0 {
		return model, true
	}
	if to, found := m.exact[model]; found {
		return to, true
	}
	for i := range m.wild {
		if strings.HasPrefix(model, m.wild[i].prefix) {
			return m.wild[i].upstream, true
		}
	}
	return model, model == ""
}

// Empty tells that every model maps to itself.
func (m Models) Empty() bool { return len(m.exact) == 0 }

// Mapping gives a copy of what the mapping was made of; nil when every model maps to itself.
func (m Models) Mapping() map[string]string { return maps.Clone(m.exact) }
