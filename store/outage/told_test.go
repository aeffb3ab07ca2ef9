package outage

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"usher.internal/core"
	"usher.internal/store/storetest"
)

const keys = "usher:{default}:"

// TestEndedElsewhere: what was reported to another replica is looked after no more: it neither takes room in an outage, nor
// comes back when the memory is lost.
func TestEndedElsewhere(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	for range 4 {
		d.take(d.all[0], 0)
	}
	for range 4 {
		d.finishAt(d.all[1], "a")
	}
	d.until("the other knows", func() bool { return d.all[0].ledger.holds("a") == 0 })
	d.seen()
	d.lose()
	if n := d.takeAll(0); n != 4 {
		t.Errorf("%d of 4 held when each took what it might", n)
	}
	for range 4 {
		d.finish("a")
	}
	d.server.FlushAll()
	d.back()
	if n := d.inUse(d.all[0])["a"]; n != 0 {
		t.Errorf("%d in use", n)
	}
}

// TestEndsAreToldAgain: who granted does not know yet that a lease was reported to another when the memory is lost.
func TestEndsAreToldAgain(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	d.seen()
	for range 4 {
		d.take(d.all[0], 0)
		d.finishAt(d.all[1], "a")
	}
	if n := d.all[0].ledger.holds("a"); n != 4 {
		t.Fatalf("%d are looked after", n)
	}
	d.lose()
	d.server.FlushAll()
	d.back()
	if n := d.inUse(d.all[0])["a"]; n != 0 {
		t.Errorf("%d in use", n)
	}
}

// TestGrantsThatAFailoverLost are taken up again, though nobody was without the store.
func TestGrantsThatAFailoverLost(t *testing.T) {
	d := newDrill(t, 2, Options{}, 4)
	d.take(d.all[0], 0)
	d.seen()
	before, err := d.server.Get(keys + "L")
	if err != nil {
		t.Fatal(err)
	}
	d.take(d.all[0], 0)
	lost := d.held["a"][1].ID
	id := base64.RawURLEncoding.EncodeToString(lost[:])
	if !d.server.Del(keys + "l:" + id) {
		t.Fatal("there is no record")
	}
	if _, err := d.server.ZRem(keys+"x", id); err != nil {
		t.Fatal(err)
	}
	if _, err := d.server.SRem(keys+"o:gateway", id); err != nil {
		t.Fatal(err)
	}
	if err := d.server.Set(keys+"L", before); err != nil {
		t.Fatal(err)
	}
	if n := d.inUse(d.all[1])["a"]; n != 1 {
		t.Fatalf("%d in use, one was lost", n)
	}
	d.until("it is in use again", func() bool { return d.inUse(d.all[1])["a"] == 2 })
	if d.all[0].Degraded() {
		t.Error("degraded although the store answers")
	}
	d.pass(time.Minute)
	if n := d.inUse(d.all[1])["a"]; n != 2 {
		t.Errorf("%d in use after a minute", n)
	}
}

// TestTimeIsUsedUp: who waited for the store until a Select's time was over is served from the island.
func TestTimeIsUsedUp(t *testing.T) {
	d := newDrill(t, 1, Options{}, 4)
	d.seen()
	s := New(Options{Primary: &slow{Primary: d.all[0].primary, clock: d.clock}, Clock: d.clock})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Register(t.Context(), &d.roster); err != nil {
		t.Fatal(err)
	}
	d.server.SetError("LOADING Redis is loading the dataset in memory")
	out, err := s.TakeFirst(t.Context(), &core.FirstTake{
		Grant: core.Grant{ID: core.LeaseID{9}, TTL: leaseTTL, NotAfter: d.clock.Now().Add(time.Millisecond)}, Order: []core.Choice{{}},
	})
	if err != nil || out.Status != core.FirstTook {
		t.Errorf("took %+v, %v", out, err)
	}
}

// TestAnsweredTooLate: that the server would not carry a take out any more is as if it had not answered; what was over before is not.
func TestAnsweredTooLate(t *testing.T) {
	d := newDrill(t, 1, Options{}, 4)
	s := d.all[0]
	d.seen()
	take := &core.FirstTake{Grant: core.Grant{ID: core.LeaseID{9}, TTL: leaseTTL, NotAfter: d.clock.Now().Add(-time.Second)}, Order: []core.Choice{{}}}
	if _, err := s.TakeFirst(t.Context(), take); !errors.Is(err, context.DeadlineExceeded) || s.Degraded() {
		t.Errorf("a take that was over: %v, degraded %v", err, s.Degraded())
	}
	take.Grant.NotAfter = d.clock.Now().Add(time.Second)
	if err := late(t.Context(), d.clock.Now(), &take.Grant, context.DeadlineExceeded); !unavailable(err) {
		t.Errorf("a take that was in time: %v", err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
	defer cancel()
	take.Grant.NotAfter, _ = ctx.Deadline()
	if err := late(ctx, d.clock.Now(), &take.Grant, context.DeadlineExceeded); unavailable(err) {
		t.Errorf("a take whose caller's own time passed: %v", err)
	}
}

// slow is a primary that takes long to fail.
type slow struct {
	Primary
	clock *storetest.Clock
}

func (s *slow) TakeFirst(ctx context.Context, take *core.FirstTake) (core.FirstTaken, error) {
	out, err := s.Primary.TakeFirst(ctx, take)
	s.clock.Advance(time.Second)
	return out, err
}
