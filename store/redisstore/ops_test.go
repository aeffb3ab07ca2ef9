package redisstore

import (
	"slices"
	"testing"
)

// TestDue: a second call goes only with enough, and as much as the first carries, and a third not by itself.
func TestDue(t *testing.T) {
	for _, row := range []struct {
		calls, going, waiting int
		due                   bool
	}{
		{0, 0, 0, false},
		{0, 0, 1, true},
		{1, 1, 0, false},
		{1, 1, opsEnough - 1, false},
		{1, 1, opsEnough, true},
		{1, 32, 31, false},
		{1, 32, 32, true},
		{2, 9, 64, false},
	} {
		o := ops{going: row.going, waiting: slices.Repeat([]*op{{parts: 1}}, row.waiting)}
		if got := o.due(row.calls); got != row.due {
			t.Errorf("%+v: due is %v", row, got)
		}
	}
}

// TestNext: what goes is counted until it is answered, and no more of it than a call takes.
func TestNext(t *testing.T) {
	var b, other batch
	o := ops{away: []*batch{&b}}
	for range opsMost + 3 {
		o.waiting = append(o.waiting, &op{parts: 1})
	}
	if !o.next(&b, true) || len(b.waiting) != opsMost || o.going != opsMost || len(o.waiting) != 3 {
		t.Fatalf("%d go, %d are going, %d wait", len(b.waiting), o.going, len(o.waiting))
	}
	o.away = append(o.away, &other)
	if o.next(&other, false) || len(o.away) != 1 {
		t.Errorf("%d go beside %d, by %d calls", len(other.waiting), o.going, len(o.away))
	}
	if !o.next(&b, false) || len(b.waiting) != 3 || o.going != 3 || len(o.away) != 1 {
		t.Errorf("%d go, %d are going", len(b.waiting), o.going)
	}
	if o.next(&b, false) || o.going != 0 || len(o.away) != 0 {
		t.Errorf("%d go, %d are going, by %d calls", len(b.waiting), o.going, len(o.away))
	}
}

// TestHurry: who waits behind a call that is long on its way gets one of its own.
func TestHurry(t *testing.T) {
	w := newMiniWorld(t)
	s := w.replica(t)
	s.ops.mu.Lock()
	s.ops.away, s.ops.going = []*batch{{}}, opsMost
	s.ops.mu.Unlock()
	if _, err := s.TakeFirst(t.Context(), w.first(0)); err != nil {
		t.Error(err)
	}
}
