package redisstore

import (
	"usher.internal/core"
	"usher.internal/core/decide"
)

// codes are the numbers that scripts use for fates.
var codes = [...]byte{decide.Keep: 0, decide.Drop: 1, decide.Take: 2, decide.Probe: 3}

// fates says what the bindings that a take may find would meet: a character for each place, and one for places beyond.
func fates(t *table, asked *core.BoundTake) (known, others string) {
	if asked.Response == (core.BindingKey{}) && asked.Session == (core.BindingKey{}) {
		return "", string(code(core.Fates{}))
	}
	accounts := make([]string, len(t.ids)+1)
	copy(accounts, t.ids)
	judged := make([]core.Fates, len(accounts))
	asked.Judge.Fates(accounts, judged)
	b := make([]byte, len(t.ids))
	for i := range b {
		b[i] = code(judged[i])
	}
	return string(b), string(code(judged[len(t.ids)]))
}

func code(f core.Fates) byte {
	return '0' + codes[f.Response] + codes[f.Session]<<2 + codes[f.Substitute]<<4
}
