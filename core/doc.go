// Package core decides which upstream account takes a request, and keeps the leases on their slots.
//
// # Terms
//
//   - account: an upstream with a concurrency limit (slots; 0 or less is unlimited) and a priority (smaller is better).
//   - lease: the named, expiring right to one slot. In use = leases that have not ended; nothing else is counted.
//   - token: a lease's name with what a successor needs to take a report for it. Who has it may report, renew and release.
//   - binding: session or response → account, inside a tenant and a group, with a sliding TTL.
//   - view: the accounts of a group that may ever serve a query (model, provider, transport). World: accounts and policy, swapped whole.
//   - cooldown: a deadline of an account, or of one upstream model on it, before which it takes no new request.
//     Probation: it is over and no success came since; under a half-open policy one probe at a time is let through.
//   - load rate: (in use + waiting) · 100 / limit, in percent. Error rate: 0 to 1. TTFT: time to first token, milliseconds. Load skew: percentage points.
//
// # The life of a request
//
//	Select ─ reports first ─► world and view (registry)
//	   │
//	   ├─ Store.TakeBound ── request id, response, session; fitness by judge (sticky) ──► hit: lease, or wait plan
//	   │        └─ nothing taken: the loads
//	   ├─ decide.Workspace: filter, score, rank, draw (balance) ── loads, stats, seed
//	   ├─ Store.TakeFirst ── the drawn order, then the others with room ──► lease, or at one instant nothing free: wait plan
//	   └─ record: counters, observer, history with the inputs, from which Explain decides again
//	Report ─ token (mint), lesson (cooldown) ─► Store.Settle ─ what counts, once ─► stats (EWMA), colds, counters
//	Sweep ends what is over; other calls already treat it so.
//	Attach ─ an owner's one stream ─► Heartbeat: renews, takes up, ends what was forgotten. Silence ─ watchOwners ─► Store.End
//
// The decision itself is pure and lives in core/decide; what can serve lives in core/pool. Here is orchestration only.
//
// # Locks
//
// registry.mu is held over Store.Register, so that rosters arrive in order. An attachment's beat is held over the calls of one
// heartbeat, so that heartbeats count one after another; owners.mu is taken inside it. A store may hold its own lock
// while it calls Judge, which reads an immutable world and atomic pointers (colds) and locks nothing. Every other mutex here
// (views, stats, colds, counters, lease ends, owners, history, hub) is a leaf: nothing is called and no other lock is taken under it.
package core
