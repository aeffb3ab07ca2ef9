package storetest

import (
	"context"
	"time"

	"usher.internal/core"
	"usher.internal/core/pool"
)

func signalChecks() []Check {
	return []Check{
		{"signal/freed_by_release", checkFreed},
		{"signal/freed_by_expiry", checkFreedByExpiry},
		{"signal/freed_by_a_higher_limit", checkFreedByLimit},
		{"signal/cooldown_changed", checkCooldownSignal},
		{"signal/directory_changed", checkDirectorySignal},
		{"signal/every_subscriber", checkSubscribers},
		{"signal/reader_that_never_reads_blocks_nobody", checkSlowReader},
		{"signal/closed_with_its_context", checkSignalsEnd},
		{"signal/closed_with_the_store", checkSignalsClose},
	}
}

func (r *rig) subscribe() <-chan core.Signal {
	r.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	r.Cleanup(cancel)
	signals, err := r.Signals(ctx)
	if err != nil {
		r.stop("Signals: %v", err)
	}
	return signals
}

// listen subscribes while somebody waits: a store may tell nobody of a free slot that nobody waits for.
func (r *rig) listen() <-chan core.Signal {
	r.Helper()
	w := r.waiter(int(r.clock()))
	w.TTL = 2 * leaseTTL
	r.wantJoin(w, core.JoinedLine, 1)
	return r.subscribe()
}

// wantSignal reads until the signal comes.
func (r *rig) wantSignal(signals <-chan core.Signal, kind core.SignalKind, account string) {
	r.Helper()
	want := core.Signal{Kind: kind, Account: account}
	for {
		select {
		case got, open := <-signals:
			if !open {
				r.stop("the channel was closed before %+v", want)
			}
			if got == want {
				return
			}
			if ended := kind == core.SignalEnded && got.Kind == core.SignalFreed; ended && got.Account == account {
				r.Errorf("an end of its own was told of as a release")
			}
		case <-r.ctx.Done():
			r.stop("%+v never came", want)
		}
	}
}

// wantClosed reads until the channel is closed.
func (r *rig) wantClosed(signals <-chan core.Signal) {
	r.Helper()
	for {
		select {
		case _, open := <-signals:
			if !open {
				return
			}
		case <-r.ctx.Done():
			r.stop("the channel was never closed")
		}
	}
}

func checkFreed(t TB, h *Harness) {
	r := newRig(t, h, 1, 1)
	signals := r.listen()
	for _, kind := range []core.SettleKind{core.SettleFinished, core.SettleUnused, core.SettleWithdrawn} {
		r.settle(of(r.hold(1), kind))
		r.wantSignal(signals, core.SignalFreed, "b")
	}
}

func checkFreedByExpiry(t TB, h *Harness) {
	r := newRig(t, h, 1)
	r.hold(0)
	signals := r.listen()
	r.advance(leaseTTL)
	r.sweep(10)
	r.wantInUse(0, 0)
	r.wantSignal(signals, core.SignalEnded, "a")
}

func checkFreedByLimit(t TB, h *Harness) {
	r := newRig(t, h, 1, 1)
	signals := r.listen()
	r.roster.Accounts[0].Limit = 2
	r.register()
	r.wantSignal(signals, core.SignalFreed, "a")
	r.roster.Accounts[1].Limit = 0
	r.register()
	r.wantSignal(signals, core.SignalFreed, "b")
}

func checkCooldownSignal(t TB, h *Harness) {
	r := newRig(t, h, 1)
	signals := r.subscribe()
	r.cool(core.Cooldown{Account: "a", Until: r.now().Add(time.Minute)})
	r.wantSignal(signals, core.SignalCooldown, "a")
	r.must(r.Warm(r.ctx, core.Cooldown{Account: "a"}))
	r.wantSignal(signals, core.SignalCooldown, "a")
	e := of(r.hold(0), core.SettleFinished)
	e.Cool = core.Cooldown{Account: "b", Until: e.GrantedAt.Add(time.Minute)}
	r.settle(e)
	r.wantSignal(signals, core.SignalCooldown, "b")
}

func checkDirectorySignal(t TB, h *Harness) {
	r := newRig(t, h, 1)
	signals := r.subscribe()
	_, err := r.PutAccount(r.ctx, pool.Account{ID: "x"})
	r.must(err)
	r.wantSignal(signals, core.SignalDirectory, "x")
	_, err = r.PutState(r.ctx, core.StateOverride{Account: "x", State: pool.Paused})
	r.must(err)
	r.wantSignal(signals, core.SignalDirectory, "x")
	_, err = r.DropAccount(r.ctx, "x")
	r.must(err)
	r.wantSignal(signals, core.SignalDirectory, "x")
}

func checkSubscribers(t TB, h *Harness) {
	r := newRig(t, h, 1)
	one, two := r.listen(), r.subscribe()
	r.settle(of(r.hold(0), core.SettleFinished))
	r.wantSignal(two, core.SignalFreed, "a")
	r.wantSignal(one, core.SignalFreed, "a")
}

func checkSlowReader(t TB, h *Harness) {
	r := newRig(t, h, 1, 1)
	slow, quick := r.listen(), r.subscribe()
	for range 1000 {
		r.settle(of(r.hold(0), core.SettleFinished))
	}
	r.settle(of(r.hold(1), core.SettleFinished))
	r.wantSignal(quick, core.SignalFreed, "b")
	r.wantSignal(slow, core.SignalFreed, "b") // merged, not lost
}

func checkSignalsEnd(t TB, h *Harness) {
	r := newRig(t, h, 1)
	ctx, cancel := context.WithCancel(r.ctx)
	signals, err := r.Signals(ctx)
	r.must(err)
	r.settle(of(r.hold(0), core.SettleFinished)) // something waits to be read
	cancel()
	r.wantClosed(signals)
	r.settle(of(r.hold(0), core.SettleFinished))
	if _, err := r.Signals(ctx); err == nil {
		r.Errorf("subscribed for a context that has ended")
	}
}

func checkSignalsClose(t TB, h *Harness) {
	r := newRig(t, h, 1)
	signals := r.subscribe()
	r.settle(of(r.hold(0), core.SettleFinished))
	for range 2 {
		r.must(r.Close())
	}
	r.wantClosed(signals)
}
