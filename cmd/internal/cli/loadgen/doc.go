// Package loadgen drives a scheduler with Select and Report, and measures it.
//
// A closed loop keeps a number of callers busy. An open loop starts pairs at
// times that were fixed beforehand, and measures each from that time, whether
// or not a caller was free: a slow answer cannot hide the ones queued behind it.
package loadgen
