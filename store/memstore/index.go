package memstore

import "hash/maphash"

// ref names a live lease by its place in memory, counted from 1, or a mark by its number.
type ref uint32

const refMark ref = 1 << 31

func (r ref) marked() bool { return r&refMark != 0 }

// index finds leases and marks by key. It holds no keys, only 8 bytes an entry,
// so that a million marks stay near the processor; keyOf looks a key up where it
// is kept. Shards grow one at a time: no call pays for all of them.
type index struct {
	seed   maphash.Seed
	keyOf  func(ref) *[16]byte
	shards [256]shard
}

// shard is a table with linear probing, at most two thirds full. A removal moves
// up what follows, so that there are no graves.
type shard struct {
	slots []slot // its length is a power of two, or 0
	used  int
}

// slot is empty while ref is 0.
type slot struct {
	tag uint32 // of the key's hash; its low bits are the slot's proper place
	ref ref
}

const leastSlots = 8

func (x *index) locate(key *[16]byte) (sh *shard, tag uint32) {
	h := maphash.Bytes(x.seed, key[:])
	return &x.shards[h>>56], uint32(h)
}

// find gives what the key names; 0 is nothing.
func (x *index) find(key *[16]byte) ref {
	sh, tag := x.locate(key)
	if at := x.probe(sh, tag, key); at >= 0 {
		return sh.slots[at].ref
	}
	return 0
}

// probe gives the slot of a key, -1 for none.
func (x *index) probe(sh *shard, tag uint32, key *[16]byte) int {
	if sh.used == 0 {
		return -1
	}
	mask := len(sh.slots) - 1
	for i := int(tag) & mask; ; i = (i + 1) & mask {
		s := sh.slots[i]
		if s.ref == 0 {
			return -1
		}
		if s.tag == tag && *x.keyOf(s.ref) == *key {
			return i
		}
	}
}

// put makes the key name r, whatever it named.
func (x *index) put(key *[16]byte, r ref) {
	sh, tag := x.locate(key)
	if at := x.probe(sh, tag, key); at >= 0 {
		sh.slots[at].ref = r
		return
	}
	if 3*(sh.used+1) > 2*len(sh.slots) {
		old := sh.slots
		sh.slots = make([]slot, max(leastSlots, 2*len(old)))
		for _, s := range old {
			if s.ref != 0 {
				sh.place(s)
			}
		}
	}
	sh.place(slot{tag, r})
	sh.used++
}

// drop removes the key if it names r still.
func (x *index) drop(key *[16]byte, r ref) {
	sh, tag := x.locate(key)
	if sh.used == 0 {
		return
	}
	mask := len(sh.slots) - 1
	for i := int(tag) & mask; sh.slots[i].ref != 0; i = (i + 1) & mask {
		if sh.slots[i].ref == r {
			sh.close(i)
			return
		}
	}
}

func (sh *shard) place(s slot) {
	mask := len(sh.slots) - 1
	i := int(s.tag) & mask
	for sh.slots[i].ref != 0 {
		i = (i + 1) & mask
	}
	sh.slots[i] = s
}

// close empties a slot and moves up what could not have its proper place because of it.
func (sh *shard) close(gap int) {
	mask := len(sh.slots) - 1
	for i := (gap + 1) & mask; sh.slots[i].ref != 0; i = (i + 1) & mask {
		proper := int(sh.slots[i].tag) & mask
		if (i-proper)&mask >= (i-gap)&mask {
			sh.slots[gap] = sh.slots[i]
			gap = i
		}
	}
	sh.slots[gap] = slot{}
	sh.used--
}
