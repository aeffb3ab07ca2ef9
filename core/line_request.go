package core

import (
	"context"
	"slices"
)

// releases tells that the request id of a settled event was released by it, or before.
func (status EventStatus) releases(kind SettleKind) bool {
	if kind != SettleUnused && kind != SettleFinished {
		return false
	}
	return status == EventApplied || status == EventReleaseRecorded || status == EventAlreadyReleased
}

// remember lists a waiter under its request id and its session. mu is held.
func (l *line) remember(w *waiter) {
	if w.request != (RequestKey{}) {
		l.byRequest[w.request] = append(l.byRequest[w.request], w)
	}
	if key := w.run.bound.Session; key != (BindingKey{}) {
		l.bySession[key] = append(l.bySession[key], w)
	}
}

func (l *line) forget(w *waiter) {
	if w.request != (RequestKey{}) {
		takeOff(l.byRequest, w.request, w)
	}
	if key := w.run.bound.Session; key != (BindingKey{}) {
		takeOff(l.bySession, key, w)
	}
}

func takeOff[K comparable](lists map[K][]*waiter, key K, w *waiter) {
	rest := slices.DeleteFunc(lists[key], func(other *waiter) bool { return other == w })
	if len(rest) == 0 {
		delete(lists, key)
	} else {
		lists[key] = rest
	}
}

// answerAlike gives those who wait under a request id the lease that it was just granted, as to Selects that come
// after it. decision is the one that granted it, which is not in the history yet. mu is held.
func (l *line) answerAlike(key RequestKey, decision *Decision, why WakeReason) {
	for _, w := range slices.Clone(l.byRequest[key]) {
		w.run.again()
		lease, err := w.run.layers(context.Background())
		if lease == nil && (err == nil || KindOf(err) == KindStoreUnavailable) {
			continue // it is asked again when its turn comes
		}
		if w.run.decision.Repeated && w.run.decision.ID == decision.ID {
			w.run.decision = *decision
			w.run.decision.Repeated = true
		}
		l.out(w)
		w.done <- served{lease: lease, err: err, woken: why}
	}
}

// released ends the waits under a request id that was released. mu is held.
func (l *line) released(key RequestKey) {
	for _, w := range slices.Clone(l.byRequest[key]) {
		l.out(w)
		w.done <- served{err: errRequestReleased}
	}
}

// lookForAnswered answers those who wait under request ids that were granted or released at other replicas. mu is held.
func (l *line) lookForAnswered() {
	if !l.s.shared || len(l.byRequest) == 0 {
		return
	}
	keys := make([]RequestKey, 0, len(l.byRequest))
	for key := range l.byRequest { // order-free: each is answered by itself
		keys = append(keys, key)
	}
	l.answerOthers(l.answeredOf(context.Background(), keys))
}

// lastLook does so for a waiter whose time is over.
func (l *line) lastLook(ctx context.Context, w *waiter) {
	if !l.s.shared || w.request == (RequestKey{}) {
		return
	}
	answered := l.answeredOf(ctx, []RequestKey{w.request})
	if len(answered) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answerOthers(answered)
}

// answeredOf gives those of some request ids that the store answers without a slot; none when it cannot tell.
func (l *line) answeredOf(ctx context.Context, keys []RequestKey) (out []RequestKey) {
	answered := make([]bool, len(keys))
	if l.s.store.Answered(ctx, keys, answered) != nil {
		return nil
	}
	for i, key := range keys {
		if answered[i] {
			out = append(out, key)
		}
	}
	return out
}

// answerOthers answers those who wait under request ids that other replicas answered. mu is held.
func (l *line) answerOthers(keys []RequestKey) {
	for _, key := range keys {
		l.answerAlike(key, &Decision{}, WokenByPoll)
	}
}
