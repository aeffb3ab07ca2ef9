package model

import (
	"fmt"
	"slices"
	"time"
)

// life is one life of an owner that has attached.
type life struct {
	Owner
	since    time.Duration
	attached bool
	// due is when its leases end if it is not heard of; 0 when nobody waits for it.
	due     time.Duration
	looks   int
	missing []*Lease // from the last heartbeat
	told    []*Lease // in this attachment
	owed    []*Lease // what it lost and was not told of
}

// looksMost is how often a silent owner without a stream is looked for.
const looksMost = 2

func (m *Model) life(o Owner) *life {
	for _, i := range m.lives {
		if i.Owner == o {
			return i
		}
	}
	return nil
}

// lose ends a lease without its owner's doing.
func (m *Model) lose(l *Lease, how End) {
	l.End, l.ended = how, m.Now
	if i := m.life(l.Owner); i != nil {
		i.owed = append(i.owed, l)
	}
}

func (m *Model) hear(i *life) { i.due, i.looks = m.Now+m.HeartbeatTimeout+m.Grace, 0 }

// Attach makes a stream the owner's one.
func (m *Model) Attach(o Owner, replaces bool) {
	i := m.life(o)
	if i == nil {
		i = &life{Owner: o, since: m.Now}
		m.lives = append(m.lives, i)
	}
	if replaces {
		m.replace(i)
	}
	i.attached, i.missing, i.told = true, nil, nil
	m.hear(i)
}

// replace ends the leases of the lives before; one that never attached is as old as its oldest lease.
func (m *Model) replace(i *life) {
	oldest := func(o Owner) time.Duration {
		first := m.Now
		for _, l := range m.Leases {
			if l.End == 0 && l.Owner == o {
				first = min(first, l.Granted)
			}
		}
		return first
	}
	own := min(i.since, oldest(i.Owner))
	var lost []*Lease
	for _, l := range m.Leases {
		if l.End != 0 || l.Owner.Name != i.Name || l.Owner == i.Owner {
			continue
		}
		before := oldest(l.Owner) <= own
		if other := m.life(l.Owner); other != nil {
			before = slices.Index(m.lives, other) < slices.Index(m.lives, i)
		}
		if before {
			lost = append(lost, l)
		}
	}
	for _, l := range lost {
		m.lose(l, Replaced)
	}
}

// Attached tells whether an owner has a stream.
func (m *Model) Attached(o Owner) bool {
	i := m.life(o)
	return i != nil && i.attached
}

// Detach ends the stream.
func (m *Model) Detach(o Owner) {
	i := m.life(o)
	i.attached = false
	// A silent one too has its grace from the break on.
	i.due, i.looks = min(i.due, m.Now+m.Grace), 0
}

// Beat is a heartbeat with all leases that the owner says it holds.
func (m *Model) Beat(o Owner, listed []*Lease) {
	i := m.life(o)
	m.hear(i)
	var missing []*Lease
	for _, l := range m.Leases {
		if l.End != 0 || l.Owner != o {
			continue
		}
		if !slices.Contains(listed, l) {
			if slices.Contains(i.missing, l) {
				m.lose(l, Forgotten)
				continue
			}
			missing = append(missing, l)
		}
		m.Renew(l, 0)
	}
	i.missing = missing
	for _, l := range listed {
		if l.End > Released && !slices.Contains(i.told, l) && !slices.Contains(i.owed, l) {
			i.owed = append(i.owed, l)
		}
	}
}

// silence ends the leases of owners that are due. Of those that it looks for again, it spares what is younger than the grace.
func (m *Model) silence() {
	for _, i := range m.lives {
		if i.due == 0 || i.due > m.Now {
			continue
		}
		for _, l := range m.Leases {
			if l.End == 0 && l.Owner == i.Owner && (i.looks == 0 || l.Granted+m.Grace <= m.Now) {
				m.lose(l, OwnerSilent)
			}
		}
		if i.looks++; i.looks < looksMost || i.attached {
			i.due = m.Now + m.HeartbeatTimeout + m.Grace
		} else {
			i.due = 0
		}
	}
}

// Told tells that an owner heard of a lost lease.
func (m *Model) Told(o Owner, l *Lease, how End) error {
	i := m.life(o)
	if l.Owner != o || how != l.End && (l.End != MaxAge || how != Expired) {
		return fmt.Errorf("%v was told that the lease on %s, granted at %v, ended by %d, not %d", o, l.Account, l.Granted, how, l.End)
	}
	i.told = append(i.told, l)
	i.owed = slices.DeleteFunc(i.owed, func(other *Lease) bool { return other == l })
	return nil
}

// Owed tells what somebody with a stream was not told. That a lease's life is over may be noticed late.
func (m *Model) Owed(late time.Duration) error {
	for _, i := range m.lives {
		for _, l := range i.owed {
			if i.attached && (l.ended+late <= m.Now || l.End != Expired && l.End != MaxAge) {
				return fmt.Errorf("%v was not told that the lease on %s ended by %d", i.Owner, l.Account, l.End)
			}
		}
	}
	return nil
}
