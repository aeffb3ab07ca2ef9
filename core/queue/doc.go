// Package queue is the waiting line: who stands in it, in what order they are served,
// and which of them an account fits.
//
// A waiter belongs to a class, a tenant and a priority. A class is a set of accounts, any
// of which can serve those who wait in it; classes may overlap. An account that has a free
// slot serves the first waiter, in fairness order, of all the classes that it fits.
//
// Fairness order has two steps.
//
//   - Between tenants: least recently served first. A tenant's turn is the sequence number
//     of its last grant or of its becoming active (from nobody waiting to somebody),
//     whichever is later. So whoever begins to wait is served after at most one grant to
//     each other tenant, whatever their numbers; and what a tenant took while nobody else
//     could use it costs it one turn, not many.
//   - Within a tenant: by arrival, put back by one aging for Normal and by two for Low.
//     That is strict priority until aging overtakes it: a Low waiter goes before a High
//     one that arrived more than two agings later. Ties go by the order of joining.
//
// Costs: a lane is a tenant in a class. Each class keeps a heap of its lanes by turn, and
// each account a list of the classes that it fits and somebody waits in. Turns rise, so a
// lane's place in the heap may be outdated; it is corrected when it comes to the top, at
// most once for each grant to its tenant. Looking for an account's next waiter touches
// only classes that it fits, and of these only ones that may have the first. Joining,
// leaving and being granted are logarithmic in the lanes of one class; the first to join
// a class and the last to leave it also pay for listing it with its accounts.
//
// A tenant can be parked: it is passed over at no cost to the others until it is let back in.
//
// The package is pure: it reads no clock, does no I/O, starts nothing, and the order in
// which a map gives its keys reaches no result. Nothing in it is safe for concurrent use.
package queue
