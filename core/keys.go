package core

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// Session hashes and ids of responses and requests reach the store only as
// hashes, scoped by tenant and group (or owner), so that no key of one scope can be guessed from another's.
const (
	keySession  = 's'
	keyResponse = 'r'
	keyRequest  = 'q'
)

var keyBuffers = sync.Pool{New: func() any { return new([]byte) }}

// scopedKey hashes kind and parts; each part is led by its length, so that no two lists of parts are alike.
func scopedKey(kind byte, parts ...string) [16]byte {
	buffer := keyBuffers.Get().(*[]byte)
	b := (*buffer)[:0]
	b = append(b, kind)
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	*buffer = b
	keyBuffers.Put(buffer)
	return [16]byte(sum[:16])
}

// bindingKey gives the key of a session or a response; zero for a blank one.
func bindingKey(kind byte, tenant, group, name string) BindingKey {
	if name == "" {
		return BindingKey{}
	}
	return BindingKey(scopedKey(kind, tenant, group, name))
}

// requestKey gives the key of a request id; zero for a blank one.
func requestKey(tenant, owner, id string) RequestKey {
	if id == "" {
		return RequestKey{}
	}
	return RequestKey(scopedKey(keyRequest, tenant, owner, id))
}

// names gives ids that no other process and no earlier start gives.
type names struct {
	replica  uint32
	prefix   uint64
	leases   atomic.Uint64
	decision atomic.Uint64
}

func newNames(entropy func() uint64) *names {
	n := &names{replica: uint32(entropy() >> 32), prefix: entropy()}
	n.leases.Store(entropy())
	return n
}

func (n *names) nextLease() (id LeaseID) {
	binary.BigEndian.PutUint64(id[:8], n.prefix)
	binary.BigEndian.PutUint64(id[8:], n.leases.Add(1))
	return id
}

func (n *names) nextWaiter() WaiterID { return WaiterID(n.nextLease()) }

func (n *names) nextDecision() DecisionID {
	return DecisionID{Replica: n.replica, Seq: n.decision.Add(1)}
}
