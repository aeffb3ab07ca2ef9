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
		o := ops{calls: row.calls, going: row.going, waiting: slices.Repeat([]*op{{parts: 1}}, row.waiting)}
		if got := o.due(row.calls); got != row.due {
			t.Errorf("%+v: due is %v", row, got)
		}
	}
}

// TestNext: what goes is counted until it is answered, and no more of it than a call takes.
func TestNext(t *testing.T) {
	o := ops{calls: 1}
	for range opsMost + 3 {
		o.waiting = append(o.waiting, &op{parts: 1})
	}
	first := o.next(nil, 0, true)
	if len(first) != opsMost || o.going != opsMost || len(o.waiting) != 3 || !first[0].away || o.waiting[0].away {
		t.Fatalf("%d go, %d are going, %d wait", len(first), o.going, len(o.waiting))
	}
	o.calls = 2
	if again := o.next(nil, 0, false); len(again) != 0 || o.calls != 1 {
		t.Errorf("%d go beside %d, by %d calls", len(again), o.going, o.calls)
	}
	if rest := o.next(nil, len(first), false); len(rest) != 3 || o.going != 3 || o.calls != 1 {
		t.Errorf("%d go, %d are going", len(rest), o.going)
	}
	if none := o.next(nil, 3, false); len(none) != 0 || o.going != 0 || o.calls != 0 {
		t.Errorf("%d go, %d are going, by %d calls", len(none), o.going, o.calls)
	}
}

// TestHurry: who waits behind a call that is long on its way gets one of its own.
func TestHurry(t *testing.T) {
	w := newMiniWorld(t)
	s := w.replica(t)
	s.ops.mu.Lock()
	s.ops.calls, s.ops.going = 1, opsMost
	s.ops.mu.Unlock()
	if _, err := s.TakeFirst(t.Context(), w.first(0)); err != nil {
		t.Error(err)
	}
}
