package decide

import "strings"

// Anchor is what ties a request's order of preference to its conversation.
type Anchor struct {
	SessionHash string
	ResponseID  string
	Model       string // as requested
	Group       string // "" is none
}

// Anchor gives the request's anchor.
func (r *Request) Anchor() Anchor {
	return Anchor{SessionHash: r.SessionHash, ResponseID: r.ResponseID, Model: r.Model, Group: r.Group}
}

// Blank tells that nothing ties the request to a conversation: session hash and response id are blank.
func (a *Anchor) Blank() bool {
	return strings.TrimSpace(a.SessionHash) == "" && strings.TrimSpace(a.ResponseID) == ""
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// Seed gives the generator's seed: FNV-1a over the anchor's parts. entropy is mixed in
// only when the anchor is Blank, so that a conversation keeps its order of preference.
func Seed(a Anchor, entropy uint64) uint64 {
	h := uint64(fnvOffset)
	for _, part := range [...]string{a.SessionHash, a.ResponseID, a.Model} {
		if part = strings.TrimSpace(part); part != "" {
			h = hashText(h, part)
			h *= fnvPrime // the 0 byte that ends a part
		}
	}
	h = hashText(h, a.Group)
	if a.Blank() {
		for range 8 {
			h = (h ^ entropy&0xff) * fnvPrime
			entropy >>= 8
		}
	}
	return h
}

func hashText(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// Generator is xorshift64*. It is not safe for concurrent use.
type Generator struct{ state uint64 }

// NewGenerator starts a sequence. Seed 0, from which xorshift never moves, stands for another fixed one.
func NewGenerator(seed uint64) Generator {
	if seed == 0 {
		seed = 0x9e3779b97f4a7c15
	}
	return Generator{seed}
}

// Next gives the next 64 bits.
func (g *Generator) Next() uint64 {
	x := g.state
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	g.state = x
	return x * 2685821657736338717
}

// Float64 gives the next number in [0, 1), a multiple of 2⁻⁵³.
func (g *Generator) Float64() float64 { return float64(g.Next()>>11) / (1 << 53) }
