package core

import (
	"unsafe"

	"usher.internal/core/decide"
	"usher.internal/core/pool"
)

// held charges a history for what only its records may keep alive: views, the
// sets under them, and excluded ids.
type held struct {
	views map[*pool.View]int
	sets  map[*pool.Set]int
	// current is alive without any record, and free of charge.
	current *pool.Set
	bytes   int
	limit   int
}

func newHeld(limit int) held {
	return held{views: make(map[*pool.View]int), sets: make(map[*pool.Set]int), limit: limit}
}

const (
	// rowBytes is a view's row with its upstream name and ordinal.
	rowBytes = int(unsafe.Sizeof(pool.Row{})) + 16 + 4
	// accountBytes is an account of a set with its places in groups and maps, measured on plain accounts and rounded up.
	accountBytes = int(unsafe.Sizeof(pool.Account{})) + 256
)

func (h *held) over() bool {
	bytes := h.bytes
	if h.sets[h.current] > 0 {
		bytes -= setBytes(h.current)
	}
	return bytes > h.limit
}

func (h *held) add(e *entry) {
	h.bytes += excludedBytes(e) + coldBytes(e)
	if h.views[e.view]++; h.views[e.view] > 1 {
		return
	}
	h.bytes += viewBytes(e.view)
	set := e.view.Set()
	if h.sets[set]++; h.sets[set] == 1 {
		h.bytes += setBytes(set)
	}
}

func (h *held) remove(e *entry) {
	h.bytes -= excludedBytes(e) + coldBytes(e)
	if h.views[e.view]--; h.views[e.view] > 0 {
		return
	}
	delete(h.views, e.view)
	h.bytes -= viewBytes(e.view)
	set := e.view.Set()
	if h.sets[set]--; h.sets[set] == 0 {
		delete(h.sets, set)
		h.bytes -= setBytes(set)
	}
}

func viewBytes(v *pool.View) int { return v.Len() * rowBytes }

func setBytes(s *pool.Set) int { return s.Len() * accountBytes }

func excludedBytes(e *entry) int {
	n := 0
	for _, id := range e.excluded {
		n += len(id) + 16
	}
	return n
}

// coldRow is a row of a view whose account was cold.
type coldRow struct {
	cold *decide.Cold
	row  int32
}

// coldRows gives the rows that were cold; nil when none was.
func coldRows(colds []*decide.Cold) []coldRow {
	var out []coldRow
	for i, c := range colds {
		if c != nil {
			out = append(out, coldRow{c, int32(i)})
		}
	}
	return out
}

// allColds puts them back beside all rows.
func (e *entry) allColds() []*decide.Cold {
	if len(e.colds) == 0 {
		return nil
	}
	out := make([]*decide.Cold, e.view.Len())
	for _, c := range e.colds {
		out[c.row] = c.cold
	}
	return out
}

const (
	// A Cold may be shared by many records; each is charged for it as if it were alone.
	coldBytesEach = int(unsafe.Sizeof(decide.Cold{}))
	// coldModelBytes is a model's deadline with its name.
	coldModelBytes = 48 + 64
)

func coldBytes(e *entry) int {
	n := cap(e.colds) * int(unsafe.Sizeof(coldRow{}))
	for _, c := range e.colds {
		n += coldBytesEach + c.cold.Models()*coldModelBytes
	}
	return n
}
