// Package decide is the decision as a pure function of accounts, loads, statistics,
// a request, the time and a seed: who may serve, in what order of preference, and why.
//
// Scores and orders are reproducible to the bit on every architecture: each product
// is wrapped in float64(), so that no compiler fuses it with the sum after it.
//
// The package reads no clock, does no I/O and starts nothing. Functions are safe for
// concurrent use; a Workspace is not.
package decide
