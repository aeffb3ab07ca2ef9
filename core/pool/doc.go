// Package pool describes what can serve: accounts, their states and deadlines,
// the models and transports they take, and the immutable set they form.
//
// The package is pure: it reads no clock, does no I/O and starts nothing.
// Every value is safe for concurrent reading once it is built.
package pool
