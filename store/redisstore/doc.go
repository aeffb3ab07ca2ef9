// Package redisstore is the store that many replicas share: Redis 7 or later, or Valkey; a single server, one behind
// Sentinel, or a Cluster.
//
// All keys of a namespace begin with one prefix, "usher:{name}:", and so lie in one hash slot on one master. Every call is
// one script that the server runs as one step (lua/*.lua; each says what it takes, answers and that it may be run twice):
//
//	call → args → EVALSHA prefix → reply → core's types
//
// The server's clock decides all expiry. What is over is ended by whichever call comes next, a few records at a time, and
// counted out before anything else is done.
//
//	L          loads: the epoch, then in use, waiting, limit and probes of each account, of fixed width
//	A, N       account → place in L, and back
//	l, x       lease → record; leases and waiters (with !) by their end
//	q, o:NAME  request key → lease; an owner's leases
//	t, tw, wr  tenant → leases, tenant → waiters, replica → waiters
//	w, T, F    waiter → place, replica, tenant; replicas with waiters by when they were served last; when slots came free
//	m:ID n:ID  marks of ended leases and of released request ids
//	b:K s:K    bindings, and substitutes of sessions
//	c          deadlines
//	a, as, ar  pushed accounts, pushed states, their revision
//	r, e       replicas by when their heartbeat is over; leases that ended by themselves and were not told of yet
//	K          the key that tokens are signed with
//	wake       the channel of signals
//
// An epoch names one life of the server's memory: places are worth nothing in another. A replica that meets another epoch
// makes its accounts known again and goes on.
package redisstore
