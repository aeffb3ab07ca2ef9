// Package redisstore is the store that many replicas share: Redis 7 or later, or Valkey; a single server, one behind
// Sentinel, or a Cluster.
//
// All keys of a namespace begin with one prefix, "usher:{name}:", and so lie in one hash slot on one master. Every call is
// one script that the server runs as one step (lua/*.lua; each says what it takes, answers and that it may be run twice):
//
//	call → args → EVALSHA prefix → reply → core's types
//
// The namespace's clock decides all expiry: the server's, and what that has jumped by. What is over is ended by whichever call
// comes next, a few records at a time, and counted out before anything else is done.
//
//	L          the epoch, what the clock has jumped by, and loads: in use, waiting, limit and probes of each account, of fixed width
//	A, N, k    account → place in L, and back; places by when a roster listed their account last
//	l:ID, x    a lease's record, or the mark that it leaves; leases and waiters (with !) by their end
//	q, o:NAME  request key → lease; an owner's leases
//	t, tw, wr  tenant → leases, tenant → waiters, replica → waiters
//	w, T, F    waiter → place, replica, tenant; replicas with waiters by when they were served last; when slots came free
//	h:N:OWNER  who heard of an owner last, and has its youngest stream
//	n:ID       marks of released request ids
//	b:K s:K    bindings, and substitutes of sessions
//	c          deadlines
//	a, as, ar  pushed accounts, pushed states, their revision
//	r, g, e    replicas by when their heartbeat is over, and their last registrations; leases that ended by themselves, to be told of
//	m          replica → what it has learned of accounts; with ! until when that stands
//	at, dying  where the sweep is, and the longest life of a binding; for which dead replicas the sweep began
//	K          the key that tokens are signed with
//	wake       the channel of signals
//
// An epoch names one life of the server's memory, and the accounts that have places in it: a place is worth nothing in another.
// A replica that meets another epoch makes its accounts known again and goes on. It also does so once a day, so that the place of an account that
// nobody has listed for a week can go to another.
//
// What is in use is what x lists. Each heartbeat compares: where L, A, N, x, w and wr do not agree a key was lost, and L goes too,
// so that another epoch begins, in which all is counted anew from the records (lua/recount.lua). K it puts back.
//
// A call carries the time until when and from when it may be carried out. One that comes later, when its caller has given up,
// does nothing, unless it only gives back; nor does one whose caller expects another time by more than 5 s. That replica
// then asks for the clock to be set right (lua/rebase.lua): by the newest heartbeat the server sees whether it was its own clock
// that jumped, and if so the namespace's goes on without the jump. A smaller jump is not noticed, and may end leases
// so much earlier. Keys with a life of their own in Redis (bindings, marks, owners' signs of life, what was learned) end by its own clock all the same.
//
// A take or a join whose answer did not come is undone, with a mark that keeps it from being carried out afterwards. A replica
// is dead when it has not beaten for StoreLeaseTTL, if the one that sweeps could reach the server all that while. Its leases end then, and its waiters count no more; where it lives after all, its next heartbeat has its
// waiters counted again.
package redisstore
