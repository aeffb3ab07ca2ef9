package redisstore

import (
	"strings"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// FuzzRecord reads what is no record without harm, and a record as what it is.
func FuzzRecord(f *testing.F) {
	grant := core.Grant{Tenant: "tenant", Owner: core.Owner{Name: "owner", Incarnation: "one"}, Group: "group", Model: "model"}
	id := key(numbered(1))
	fixed := "0032" + strings.Repeat("0000000000001000", 3) + "keeper0123456789"
	f.Add(id, fixed+" -fp 1 "+string(appendBody(nil, &grant)))
	f.Add(id, fixed+" - 1 - 0 0 0 ")
	f.Add("", "")
	f.Add(id, fixed+" - 1 - 9223372036854775807 9223372036854775807 2 "+strings.Repeat("x", 40))
	f.Add(id, fixed+" - 1 - 0 0 0 "+strings.Repeat("\xff", 40))
	f.Fuzz(func(t *testing.T, id, text string) {
		r, err := readRecord(id, text)
		if err != nil {
			return
		}
		l := &r.lease
		names := len(l.Tenant) + len(l.Owner.Name) + len(l.Owner.Incarnation) + len(l.Group) + len(l.Model)
		if names > len(text) || key(l.ID) != id {
			t.Errorf("%q %q is read as %+v", id, text, r)
		}
	})
}

// FuzzCooldown likewise.
func FuzzCooldown(f *testing.F) {
	f.Add("1:am", "1000 3 2000")
	f.Add("1:a", "9007199254740992 3 9007199254740992")
	f.Add("99999999999999999999:a", "1 1")
	f.Add("-1:a", "x")
	f.Fuzz(func(t *testing.T, field, value string) {
		if c, ok := readCooldown(field, value); ok && !strings.HasSuffix(field, c.Account+c.Model) {
			t.Errorf("%q %q is read as %+v", field, value, c)
		}
	})
}

// FuzzLoads reads loads of any length at any places.
func FuzzLoads(f *testing.F) {
	f.Add(noEpoch+"0000000000000000"+"0010020030", int32(0))
	f.Add("", int32(-5))
	f.Add(strings.Repeat("o", 60), int32(1<<30))
	f.Fuzz(func(t *testing.T, all string, place int32) {
		known := &table{places: []int32{place, nowhere, 0}}
		read, out := loads{known: known, text: all}, make([]decide.Load, 4)
		read.fill([]int32{0, 1, 2, 9}, out)
		if out[1] != (decide.Load{}) || out[3] != (decide.Load{}) {
			t.Errorf("accounts without a place have %+v", out)
		}
		if waiting := read.waiting(int64(place)); waiting != int(out[0].Waiting) {
			t.Errorf("%d and %d wait for place %d", waiting, out[0].Waiting, place)
		}
	})
}

// FuzzReckoning wants what is expected of a clock never to be further off than what was taken for a jump.
func FuzzReckoning(f *testing.F) {
	f.Add(int64(1_700_000_000_000_000), int64(1000), int64(20), int64(0))
	f.Add(int64(1_700_000_000_000_000), int64(-1000), int64(20_000), int64(3_600_000_000))
	f.Fuzz(func(t *testing.T, start, after, took, off int64) {
		const day = int64(24 * time.Hour / time.Microsecond)
		start, after, took, off = start%(1<<52), min(max(after, 0), day), min(max(took, 0), day), min(max(off, -day), day)
		var r reckoning
		begin := time.Unix(1_700_000_000, 0)
		r.saw(start, begin, begin)
		asked := begin.Add(time.Duration(after) * time.Microsecond)
		now := asked.Add(time.Duration(took) * time.Microsecond)
		half := time.Duration(took) * time.Microsecond / 2
		jumped := r.saw(start+after+took/2+off, asked, now)
		if late := (time.Duration(off) * time.Microsecond).Abs(); jumped != (late > apart+half) && (late-apart-half).Abs() > time.Millisecond {
			t.Errorf("off by %v, half a round trip is %v: jumped is %v", late, half, jumped)
		}
	})
}
