package core

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"usher.internal/core/decide"
)

func sharedRows() []sharedRow {
	return []sharedRow{
		{id: "a", sampled: true, stat: decide.Stat{ErrorRate: 0.25, ErrorWeight: 0.5}},
		{id: "b", sampled: true, stat: decide.Stat{ErrorRate: 1, ErrorWeight: 1, TTFT: 123.5, TTFTWeight: 0.75, HasTTFT: true}},
		{id: "c\x00", stat: decide.Stat{TTFT: math.MaxFloat64, HasTTFT: true}, models: []sharedModel{
			{"", decide.Stat{TTFT: 1, HasTTFT: true}}, {"gpt", decide.Stat{TTFT: 1e-300, TTFTWeight: 1, HasTTFT: true}},
		}},
		{id: strings.Repeat("d", 300), sampled: true},
	}
}

func TestSharedIsReadAsWritten(t *testing.T) {
	want := sharedRows()
	got, ok := readShared(writeShared(sharedRows()))
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("read %v %+v, want %+v", ok, got, want)
	}
	if writeShared(nil) != nil {
		t.Error("nothing is something")
	}
	// Rounding may take an average above the greatest of its samples.
	over := []sharedRow{{id: "a", sampled: true, stat: decide.Stat{ErrorRate: math.Nextafter(1, 2)}}}
	if got, ok := readShared(writeShared(over)); !ok || got[0].stat.ErrorRate != 1 {
		t.Errorf("read %v %+v", ok, got)
	}
}

func TestSharedRefuses(t *testing.T) {
	whole := writeShared(sharedRows())
	for n := range whole {
		if rows, ok := readShared(whole[:n]); ok && len(rows) == len(sharedRows()) {
			t.Errorf("the first %d bytes of %d are read whole", n, len(whole))
		}
	}
	one := func(flags byte, rest ...byte) []byte { return append([]byte{sharedVersion, 1, 'a', flags}, rest...) }
	sample := func(value float64, weight float32) []byte { return appendSample(nil, value, weight) }
	for name, text := range map[string][]byte{
		"nothing":         {},
		"another version": append([]byte{2}, whole[1:]...),
		"more":            append(whole[:len(whole):len(whole)], 0),
		"too much":        append([]byte{sharedVersion}, make([]byte, maxShared)...),
		"no id":           {sharedVersion, 0, 1},
		"order":           append(one(1, sample(1, 1)...), one(1, sample(1, 1)...)[1:]...),
		"no flag":         one(0),
		"strange flag":    one(9, sample(1, 1)...),
		"rate":            one(1, sample(1.5, 1)...),
		"no rate":         one(1, sample(math.NaN(), 1)...),
		"weight":          one(1, sample(1, 1.5)...),
		"negative weight": one(1, sample(1, -0.5)...),
		"no weight":       one(1, sample(1, float32(math.NaN()))...),
		"no time":         one(2, sample(0, 1)...),
		"endless time":    one(2, sample(math.Inf(1), 1)...),
		"no models":       one(4, 0),
		"many models":     one(4, maxModelStats+1),
		"long text":       {sharedVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		if rows, ok := readShared(text); ok {
			t.Errorf("%s: read as %+v", name, rows)
		}
	}
}

// TestSharedIsBounded: of more than may be told, what was learned last is.
func TestSharedIsBounded(t *testing.T) {
	rows := make([]sharedRow, 30_000)
	for i := range rows {
		id := fmt.Sprintf("account %022d", i)
		rows[i] = sharedRow{id: id, sampled: true, stat: decide.Stat{TTFT: 1, HasTTFT: true}}
		rows[i].at = -1
		if i >= 10_000 {
			rows[i].at = 1
		}
	}
	text := writeShared(rows)
	got, ok := readShared(text)
	if !ok || len(text) < maxShared-100 || len(got) < 10_000 {
		t.Fatalf("%d bytes, %d rows, read %v", len(text), len(got), ok)
	}
	old := 0
	for i := range got {
		if got[i].id < "account 0000000000000000010000" {
			old++
		}
	}
	if old != max(len(got)-20_000, 0) {
		t.Errorf("%d of %d rows are old", old, len(got))
	}
}

// BenchmarkGatherStats is what a decision spends on statistics, of what it learned itself and merged with what nine others did.
func BenchmarkGatherStats(b *testing.B) {
	policy := decide.Recommended()
	for _, n := range []int{100, 1000} {
		for _, replicas := range []int{0, 9} {
			b.Run(fmt.Sprintf("accounts=%d/others=%d", n, replicas), func(b *testing.B) {
				now, s, all := time.Unix(1000, 0), stats{}, &crowd{}
				ordinals, dst := make([]int32, n), make([]decide.Stat, n)
				for i := range ordinals {
					ordinals[i] = int32(i)
					s.observe(int32(i), sample{outcome: true, failed: i%3 == 0, ttft: float64(i + 1)}, &policy, now)
					for range replicas {
						all.add(i, &sharedRow{sampled: true, stat: s.rows[i]}, policy.Fading())
					}
				}
				if replicas > 0 {
					s.hear(all, now)
				}
				for b.Loop() {
					s.gather(ordinals, dst, &policy, now.Add(time.Second))
				}
			})
		}
	}
}

// BenchmarkExchange is what a replica spends on an exchange with nine others besides the call.
func BenchmarkExchange(b *testing.B) {
	policy := decide.Recommended()
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("accounts=%d", n), func(b *testing.B) {
			now, s, ids := time.Unix(1000, 0), stats{}, make([]string, n)
			for i := range ids {
				ids[i] = fmt.Sprintf("account-%04d", i)
				s.observe(int32(i), sample{outcome: true, failed: i%3 == 0, ttft: float64(i + 1)}, &policy, now)
			}
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				text, all := writeShared(s.shared(ids, &policy, now)), &crowd{}
				size = len(text)
				for range 9 {
					rows, _ := readShared(text)
					for i := range rows {
						all.add(i, &rows[i], policy.Fading())
					}
				}
				s.hear(all, now)
			}
			b.ReportMetric(float64(size)/float64(n), "bytes/account")
		})
	}
}

// FuzzReadShared: whatever comes, it is refused, or it is what can be merged and written down again.
func FuzzReadShared(f *testing.F) {
	f.Add(writeShared(sharedRows()))
	f.Add([]byte{sharedVersion, 1, 'a', 7})
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, ok := readShared(text)
		if !ok {
			return
		}
		all := &crowd{}
		for i := range rows {
			all.add(i, &rows[i], decide.Fading{})
			var merged decide.Stat
			decide.Fading{}.Merge(&merged, &all.rows[i], 1, false)
			if !(merged.ErrorRate >= 0 && merged.ErrorRate <= 1 && merged.TTFT >= 0 && merged.TTFT <= math.MaxFloat64) {
				t.Fatalf("%+v merges to %+v", rows[i], merged)
			}
		}
		again, ok := readShared(writeShared(append([]sharedRow(nil), rows...)))
		if len(rows) > 0 && (!ok || !reflect.DeepEqual(again, rows)) {
			t.Fatalf("%+v is read again as %+v", rows, again)
		}
	})
}
