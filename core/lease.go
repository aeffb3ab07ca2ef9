package core

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
)

// LeaseID names a lease: unique over all replicas and restarts.
type LeaseID [16]byte

// String gives the id in hexadecimal.
func (id LeaseID) String() string { return hex.EncodeToString(id[:]) }

// BindingKey names a binding: a hash over kind, tenant, group and the caller's key. Zero is no binding.
type BindingKey [16]byte

// RequestKey names a Select: a hash over tenant, owner name and request id. Zero is none.
type RequestKey [16]byte

// WaiterID names a request in line: unique over all replicas and restarts.
type WaiterID [16]byte

// Owner is one gateway process.
type Owner struct {
	// Name survives restarts and is unique among living owners.
	Name string
	// Incarnation is new at every start.
	Incarnation string
}

// LeaseEnd is how a lease ended without its owner's doing.
type LeaseEnd uint8

const (
	// LeaseEndExpired means: its lifetime ran out.
	LeaseEndExpired LeaseEnd = iota + 1
	// LeaseEndOwnerSilent means: its owner was not heard of for too long.
	LeaseEndOwnerSilent
	// LeaseEndForgotten means: its owner left it out of two heartbeats in a row.
	LeaseEndForgotten
	// LeaseEndReplaced means: a later incarnation of its owner replaced it.
	LeaseEndReplaced
	// LeaseEndMaxAge means: it reached the greatest age.
	LeaseEndMaxAge
	// LeaseEndOperator means: an operator ended it.
	LeaseEndOperator

	leaseEndCount
)

var leaseEndNames = [leaseEndCount]string{
	"not_told", "expired", "owner_silent", "forgotten", "replaced", "max_age", "operator",
}

// String gives the snake_case name.
func (e LeaseEnd) String() string {
	if e < leaseEndCount {
		return leaseEndNames[e]
	}
	return "invalid"
}

// DecisionID names a decision on the replica that made it.
type DecisionID struct {
	// Replica is drawn at the start of the process.
	Replica uint32
	// Seq counts from 1; 0 means no decision.
	Seq uint64
}

// String gives the id as it is shown: replica and number in hexadecimal.
func (id DecisionID) String() string {
	if id.Seq == 0 {
		return ""
	}
	var text [8 + 1 + 16]byte
	b := hex.AppendEncode(text[:0], binary.BigEndian.AppendUint32(nil, id.Replica))
	b = append(b, '-')
	return string(strconv.AppendUint(b, id.Seq, 16))
}

// ParseDecisionID reads what String gave; ok is false for anything else.
func ParseDecisionID(s string) (id DecisionID, ok bool) {
	replica, seq, found := strings.Cut(s, "-")
	if !found || len(replica) != 8 {
		return DecisionID{}, false
	}
	r, err := strconv.ParseUint(replica, 16, 32)
	if err != nil {
		return DecisionID{}, false
	}
	n, err := strconv.ParseUint(seq, 16, 64)
	if err != nil || n == 0 {
		return DecisionID{}, false
	}
	return DecisionID{Replica: uint32(r), Seq: n}, true
}
