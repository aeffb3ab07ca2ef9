package redisstore

import (
	"sync"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// codes are the numbers that scripts use for fates.
var codes = [...]byte{decide.Keep: 0, decide.Drop: 1, decide.Take: 2, decide.Probe: 3}

// coded is what the bindings that a take may find would meet: a character for each place, and one for places beyond.
type coded struct {
	table         *table
	known, others string
}

// fatesMost bounds what is kept of what stands for the moment.
const fatesMost = 256

// fates keeps what was judged while it stands.
type fates struct {
	// mu guards what follows.
	mu   sync.Mutex
	kept map[core.Standing]*coded
}

// of gives the fates that a take needs.
// It gives nil to one that can find no binding.
func (f *fates) of(t *table, asked *core.BoundTake) *coded {
	if asked.Response == (core.BindingKey{}) && asked.Session == (core.BindingKey{}) {
		return nil
	}
	standing, stands := asked.Judge.Standing()
	if !stands {
		return judge(t, asked.Judge)
	}
	f.mu.Lock()
	c := f.kept[standing]
	f.mu.Unlock()
	if c == nil || c.table != t {
		c = judge(t, asked.Judge)
		f.keep(standing, c)
	}
	return c
}

func (f *fates) keep(standing core.Standing, c *coded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil || len(f.kept) >= fatesMost {
		f.kept = make(map[core.Standing]*coded)
	}
	f.kept[standing] = c
}

// judge asks for the fates of all accounts that have a place.
func judge(t *table, by core.Judge) *coded {
	accounts := make([]string, len(t.ids)+1)
	copy(accounts, t.ids)
	judged := make([]core.Fates, len(accounts))
	by.Fates(accounts, judged)
	b := make([]byte, len(t.ids))
	for i := range b {
		b[i] = code(judged[i])
	}
	return &coded{table: t, known: string(b), others: string(code(judged[len(t.ids)]))}
}

func code(f core.Fates) byte {
	return '0' + codes[f.Response] + codes[f.Session]<<2 + codes[f.Substitute]<<4
}
