package memstore

import (
	"math"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

const (
	endedFlags = flagExpired | flagSettled | flagWithdrawn
	allFlags   = flagFirstToken | flagSwitched | flagSampled | flagProbe | endedFlags
)

// lease writes a lease whose granted is on the wall clock.
func (e *encoder) lease(l *lease, granted, left int64) {
	e.byte(1)
	e.raw(l.id[:])
	e.raw(l.request[:])
	e.unsigned(uint64(l.decision.Replica))
	e.unsigned(l.decision.Seq)
	for _, text := range [...]string{l.owner.Name, l.owner.Incarnation, l.tenant.name, l.group, l.model} {
		e.text(text)
	}
	e.unsigned(uint64(l.account.number))
	e.unsigned(uint64(max(granted, 0)))
	e.signed(left)
	e.unsigned(uint64(max(l.ttl, 0)))
	e.unsigned(uint64(max(l.handed, 0)))
	e.unsigned(uint64(max(l.index, 0)))
	e.byte(byte(l.flags))
	e.byte(byte(l.layer))
}

func (d *decoder) lease() leaseImage {
	var l leaseImage
	l.id, l.request = d.key(), d.key()
	l.decision.Replica, l.decision.Seq = uint32(d.upTo(math.MaxUint32)), d.unsigned()
	l.owner.Name, l.owner.Incarnation, l.tenant, l.group, l.model = d.text(), d.text(), d.text(), d.text(), d.text()
	l.account, l.granted, l.left = d.unsigned(), int64(d.upTo(math.MaxInt64)), d.signed()
	l.ttl = time.Duration(d.upTo(math.MaxInt64))
	l.handed, l.index = int32(d.upTo(math.MaxInt32)), int32(d.upTo(math.MaxInt32))
	l.flags, l.layer = flags(d.byte()), decide.Layer(d.byte())
	if l.id == (core.LeaseID{}) || l.flags&^(allFlags&^endedFlags) != 0 || l.layer > decide.LayerSession {
		d.fail("a lease that cannot be")
	}
	return l
}

func (e *encoder) mark(m *mark, left int64) {
	e.byte(1)
	e.raw(m.key[:])
	e.unsigned(uint64(int64(m.account) + 1)) // 0 is none
	e.signed(left)
	e.byte(byte(m.flags))
	e.byte(byte(m.why))
	if m.request {
		e.byte(1)
	} else {
		e.byte(0)
	}
}

func (d *decoder) mark() markImage {
	var m markImage
	m.key = d.key()
	if n := d.unsigned(); n > 0 {
		m.account, m.known = n-1, true
	}
	m.left = d.signed()
	m.flags, m.why, m.request = flags(d.byte()), core.LeaseEnd(d.byte()), d.flag()
	if m.key == [16]byte{} || m.flags&^allFlags != 0 || m.why > core.LeaseEndOperator {
		d.fail("a mark that cannot be")
	}
	return m
}

func (e *encoder) binding(key core.BindingKey, account int32, left int64) {
	e.byte(1)
	e.raw(key[:])
	e.unsigned(uint64(account))
	e.signed(left)
}

func (d *decoder) binding() bindingImage {
	b := bindingImage{key: d.key(), account: d.unsigned(), left: d.signed()}
	if b.key == (core.BindingKey{}) {
		d.fail("a binding of nothing")
	}
	return b
}

// cooldown names its reason: numbers of reasons may change from one version to another.
func (e *encoder) cooldown(key coolKey, reason decide.Reason, left int64) {
	e.byte(1)
	e.text(key.account)
	e.text(key.model)
	e.text(reason.String())
	e.signed(left)
}

func (d *decoder) cooldown() cooldownImage {
	c := cooldownImage{account: d.text(), model: d.text()}
	name := d.text()
	for _, reason := range decide.Reasons() {
		if reason.String() == name {
			c.reason = reason
		}
	}
	c.left = d.signed()
	return c
}
