// Package outage is a shared store that goes on while the shared one is out of reach.
//
//	shared ──(a call fails)→ island ──(the store answers; what is held was published)→ joint ──(all had time to publish)→ shared
//
// Shared: every call goes to the primary store. Beside it a ledger knows what this replica looks after, and once a second
// the loads of all accounts are kept as the last view. The primary is asked in turn about what is looked after: what ended at another
// replica is dropped, and what a failover lost is taken up again.
//
// Island: calls go to a memory store of this replica's own, which begins with the ledger's leases. Each account has as many slots
// there as the mode says: under LocalShare, until the settle time, what this replica holds and its part of what was free in the last
// view, which is all where it is alone, with what it gave back since; afterwards its exact part of the limit. The primary is not asked, save by a probe. What is reported of leases
// that the primary knows is kept for it; what ended here without a report, as since its owner was silent, ends there only when all have
// published, and if this replica still looks after it. Who waits here goes on waiting there, and what comes free is kept from newcomers as long as the
// primary does. A take that the primary answers when an outage has begun is not handed out but made again on the
// island; what else it answers then, the island is told too.
//
// Joint: the primary is asked again, and the island's slots bind too, until every replica had time to publish what it holds.
//
// Under FailClosed calls fail at once with KindStoreUnavailable instead of going to an island.
package outage
