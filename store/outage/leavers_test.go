package outage

import (
	"encoding/binary"
	"testing"
	"time"

	"usher.internal/core"
)

// TestWhoLeavesDuringAnOutage is not counted afterwards.
func TestWhoLeavesDuringAnOutage(t *testing.T) {
	for _, mode := range Modes() {
		t.Run(mode.String(), func(t *testing.T) {
			d := newDrill(t, 1, Options{Mode: mode}, 4)
			waits := func() int {
				u, err := d.all[0].primary.Usage(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				return u.Waiting
			}
			const all = 3*waitersAtOnce + 2
			for n := range all {
				if _, err := d.all[0].Join(t.Context(), &core.Waiter{ID: waiter(n), Account: "a", TTL: time.Hour}); err != nil {
					t.Fatal(err)
				}
			}
			d.seen()
			d.lose()
			for n := range all - 1 {
				if err := d.all[0].Leave(t.Context(), waiter(n)); err != nil {
					t.Error(err)
				}
			}
			d.back()
			if n := waits(); n != 1 {
				t.Errorf("%d wait, one does", n)
			}
		})
	}
}

func waiter(n int) (id core.WaiterID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
	return id
}

// TestLeaversAreBounded: who left first is remembered, for it may have joined before the outage.
func TestLeaversAreBounded(t *testing.T) {
	var l leavers
	for n := range leaversMost + 1 {
		l.add(waiter(n))
	}
	if all := l.first(leaversMost + 1); len(all) != leaversMost || all[0] != waiter(0) {
		t.Errorf("%d are remembered, from %v", len(all), all[0])
	}
	l.forget(leaversMost)
	if left := l.first(1); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}
