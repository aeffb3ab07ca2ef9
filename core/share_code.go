package core

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"usher.internal/core/decide"
)

// What a replica tells of its statistics is one version byte, and rows in the order of their accounts' ids: the id, flags, error rate
// and weight where an outcome was learned, first-token time and weight where one was, and with a flag the number of upstream models,
// then name, time and weight of each. Texts have their length before them, lengths and numbers are varints, the
// rest is fixed and little-endian. All is as of when it was told: how old it is, its weights say.

// sharedVersion is that of what a replica tells. Who cannot read it passes over it.
const sharedVersion = 1

// maxShared bounds what a replica tells: what it learned last goes first.
const maxShared = 1 << 20

// Flags of a row.
const (
	sharedOutcome = 1 << iota
	sharedTTFT
	sharedModels
	sharedFlags = 1<<iota - 1
)

// sharedRow is what a replica has learned of one account.
type sharedRow struct {
	id   string
	stat decide.Stat
	// sampled says that an outcome is among it.
	sampled bool
	models  []sharedModel
	// at is when it was learned; it is not told.
	at time.Duration
}

type sharedModel struct {
	model string
	stat  decide.Stat // of first tokens alone
}

// writeShared writes rows down, which it sorts; none is blank.
func writeShared(rows []sharedRow) []byte {
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, func(a, b sharedRow) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.id, b.id)) })
	kept, size := 0, 1
	var one []byte
	for kept < len(rows) {
		one = rows[kept].append(one[:0])
		if size += len(one); size > maxShared {
			break
		}
		kept++
	}
	rows = rows[:kept]
	slices.SortFunc(rows, func(a, b sharedRow) int { return cmp.Compare(a.id, b.id) })
	out := append(make([]byte, 0, min(size, maxShared)), sharedVersion)
	for i := range rows {
		out = rows[i].append(out)
	}
	return out
}

func (r *sharedRow) append(out []byte) []byte {
	flags := byte(0)
	if r.sampled {
		flags |= sharedOutcome
	}
	if r.stat.HasTTFT {
		flags |= sharedTTFT
	}
	if len(r.models) > 0 {
		flags |= sharedModels
	}
	out = append(appendText(out, r.id), flags)
	if r.sampled {
		// Rounding may have made it more than all.
		out = appendSample(out, min(r.stat.ErrorRate, 1), r.stat.ErrorWeight)
	}
	if r.stat.HasTTFT {
		out = appendSample(out, r.stat.TTFT, r.stat.TTFTWeight)
	}
	if len(r.models) > 0 {
		out = binary.AppendUvarint(out, uint64(len(r.models)))
		for i := range r.models {
			m := &r.models[i]
			out = appendSample(appendText(out, m.model), m.stat.TTFT, m.stat.TTFTWeight)
		}
	}
	return out
}

func appendText(out []byte, text string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(text))), text...)
}

func appendSample(out []byte, value float64, weight float32) []byte {
	out = binary.LittleEndian.AppendUint64(out, math.Float64bits(value))
	return binary.LittleEndian.AppendUint32(out, math.Float32bits(weight))
}

// readShared reads what a replica told; false for anything that none tells.
func readShared(text []byte) ([]sharedRow, bool) {
	if len(text) == 0 || len(text) > maxShared || text[0] != sharedVersion {
		return nil, false
	}
	r := sharedReader{left: text[1:]}
	var rows []sharedRow
	for len(r.left) > 0 && !r.bad {
		row := r.row()
		if row.id == "" || len(rows) > 0 && row.id <= rows[len(rows)-1].id {
			return nil, false
		}
		rows = append(rows, row)
	}
	return rows, !r.bad
}

// sharedReader reads from the front of what is left; bad says that it could not.
type sharedReader struct {
	left []byte
	bad  bool
}

func (r *sharedReader) row() (row sharedRow) {
	row.id = r.text()
	flags := r.bytes(1)[0]
	row.sampled, row.stat.HasTTFT = flags&sharedOutcome != 0, flags&sharedTTFT != 0
	r.bad = r.bad || flags == 0 || flags > sharedFlags
	if row.sampled {
		row.stat.ErrorRate, row.stat.ErrorWeight = r.sample()
		r.bad = r.bad || !(row.stat.ErrorRate >= 0 && row.stat.ErrorRate <= 1)
	}
	if row.stat.HasTTFT {
		row.stat.TTFT, row.stat.TTFTWeight = r.ttft()
	}
	if flags&sharedModels != 0 {
		n := r.number()
		r.bad = r.bad || n == 0 || n > maxModelStats
		for i := uint64(0); i < n && !r.bad; i++ {
			m := sharedModel{model: r.text(), stat: decide.Stat{HasTTFT: true}}
			m.stat.TTFT, m.stat.TTFTWeight = r.ttft()
			row.models = append(row.models, m)
		}
	}
	return row
}

func (r *sharedReader) number() uint64 {
	n, size := binary.Uvarint(r.left)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.left = r.left[size:]
	return n
}

// bytes gives the next n; when there are fewer, others.
func (r *sharedReader) bytes(n int) []byte {
	if r.bad || len(r.left) < n {
		r.bad = true
		return make([]byte, n)
	}
	out := r.left[:n]
	r.left = r.left[n:]
	return out
}

func (r *sharedReader) text() string {
	n := r.number()
	if n > uint64(len(r.left)) {
		r.bad = true
		return ""
	}
	return string(r.bytes(int(n)))
}

func (r *sharedReader) sample() (value float64, weight float32) {
	b := r.bytes(12)
	value, weight = math.Float64frombits(binary.LittleEndian.Uint64(b)), math.Float32frombits(binary.LittleEndian.Uint32(b[8:]))
	r.bad = r.bad || !(weight >= 0 && weight <= 1)
	return value, weight
}

func (r *sharedReader) ttft() (value float64, weight float32) {
	value, weight = r.sample()
	r.bad = r.bad || !(value > 0 && value <= math.MaxFloat64)
	return value, weight
}
