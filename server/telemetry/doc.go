// Package telemetry counts what the server does, behind core's observer and
// behind the server's interceptors: quantiles of decision latency, events by
// what became of them, RPCs by method and code.
//
// Everything in it is safe for concurrent use, holds a bounded amount of memory
// and is cheap enough to be called for every request.
package telemetry
