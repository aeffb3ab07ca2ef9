package server

import (
	"context"

	"usher.internal/core"
	usherv1 "usher.internal/gen/usher/v1"
)

// maxBatch is how many events one call of core takes at most.
const maxBatch = 64

// streamEvent is where an event lies in its stream message.
var streamEvent = place{prefix: "event.event", index: -1}

// batch turns messages of one stream into events for core, and what comes back into exceptions.
// One goroutine uses it.
type batch struct {
	order  sequence
	events []core.Event
	// sent is aligned with events: their sequences, and their places in exceptions.
	sent []sentEvent
	// exceptions has a place for each message; it is nil for one that was plainly applied.
	exceptions []*usherv1.EventException
	// beat ends the batch: the heartbeat that came behind its events.
	beat *usherv1.Heartbeat
}

type sentEvent struct {
	sequence uint64
	place    int
}

func (b *batch) reset() {
	// Lets go of what the last batch pointed to.
	clear(b.events)
	clear(b.exceptions)
	b.events, b.sent, b.exceptions, b.beat = b.events[:0], b.sent[:0], b.exceptions[:0], nil
}

func (b *batch) full() bool { return b.beat != nil || len(b.exceptions) >= maxBatch }

// add takes one message: its event waits for report, its heartbeat for after it, or it is refused here.
func (b *batch) add(m *usherv1.ReportStreamRequest) {
	switch what := m.GetMessage().(type) {
	case *usherv1.ReportStreamRequest_Event:
		b.addEvent(what.Event)
	case *usherv1.ReportStreamRequest_Heartbeat:
		b.addHeartbeat(what.Heartbeat)
	case *usherv1.ReportStreamRequest_Hello:
		b.refuse(0, usherv1.NackReason_NACK_REASON_INVALID_ARGUMENT, "hello", "must be the first message only")
	default:
		b.refuse(0, usherv1.NackReason_NACK_REASON_INVALID_ARGUMENT, "message", "is required")
	}
}

func (b *batch) addHeartbeat(m *usherv1.Heartbeat) {
	n := m.GetSequence()
	if !b.order.next(n) {
		b.refuse(n, usherv1.NackReason_NACK_REASON_SEQUENCE, "heartbeat.sequence", "does not rise")
		return
	}
	var c checker
	for i, t := range m.GetLeaseTokens() {
		c.token(place{prefix: "heartbeat.lease_tokens", index: i}, "", t)
	}
	if len(c.violations) > 0 {
		v := c.violations[0]
		b.refuse(n, usherv1.NackReason_NACK_REASON_INVALID_ARGUMENT, v.GetField(), v.GetDescription())
		return
	}
	b.beat = m
}

func (b *batch) addEvent(m *usherv1.SequencedEvent) {
	n := m.GetSequence()
	if !b.order.next(n) {
		b.refuse(n, usherv1.NackReason_NACK_REASON_SEQUENCE, "event.sequence", "does not rise")
		return
	}
	var c checker
	c.event(streamEvent, m.GetEvent())
	if len(c.violations) > 0 {
		v := c.violations[0]
		b.refuse(n, usherv1.NackReason_NACK_REASON_INVALID_ARGUMENT, v.GetField(), v.GetDescription())
		return
	}
	b.events = append(b.events, eventFrom(m.GetEvent()))
	b.sent = append(b.sent, sentEvent{sequence: n, place: len(b.exceptions)})
	b.exceptions = append(b.exceptions, nil)
}

func (b *batch) refuse(n uint64, reason usherv1.NackReason, field, text string) {
	b.exceptions = append(b.exceptions, nacked(n, reason, field, text))
}

func nacked(n uint64, reason usherv1.NackReason, field, text string) *usherv1.EventException {
	return &usherv1.EventException{Sequence: n, Nack: &usherv1.Nack{Reason: reason, Field: field, Description: text}}
}

// report applies the events of the batch and fills in the exceptions of those that did not end plainly.
func (b *batch) report(ctx context.Context, to Scheduler) error {
	if len(b.events) == 0 {
		return nil
	}
	results, err := to.Report(ctx, b.events)
	if err == nil && len(results) != len(b.events) {
		err = &core.Error{Text: "results do not match events"}
	}
	for i, e := range b.sent {
		switch {
		case err != nil:
			b.exceptions[e.place] = nacked(e.sequence, usherv1.NackReason_NACK_REASON_UNAVAILABLE, "", "could not be taken now")
		case results[i].Status != core.EventApplied:
			b.exceptions[e.place] = &usherv1.EventException{Sequence: e.sequence, Result: resultTo(&results[i])}
		}
	}
	return err
}
