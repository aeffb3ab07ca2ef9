package memstore

// timed is a key with its time.
type timed[K any] struct {
	at  int64
	key K
}

// timeline is a heap of keys, the earliest first, with four children a node:
// half the depth of two, and siblings lie beside each other.
type timeline[K any] struct {
	items []timed[K]
	// moved is told where a key lies, -1 when it is out; nil when no key is ever
	// removed from the middle.
	moved func(key K, place int32)
}

const fanOut = 4

// due tells that the first key's time has come.
func (t *timeline[K]) due(now int64) bool { return len(t.items) > 0 && t.items[0].at <= now }

func (t *timeline[K]) push(at int64, key K) {
	t.items = append(t.items, timed[K]{at, key})
	t.up(len(t.items) - 1)
}

// remove takes out the key at a place.
func (t *timeline[K]) remove(place int32) {
	last := len(t.items) - 1
	gone := t.items[place].key
	moving := t.items[last]
	t.items[last] = timed[K]{}
	t.items = t.items[:last]
	if int(place) < last {
		t.items[place] = moving
		t.settle(int(place))
	}
	if t.moved != nil {
		t.moved(gone, -1)
	}
}

// reset gives the key at a place another time.
func (t *timeline[K]) reset(place int32, at int64) {
	t.items[place].at = at
	t.settle(int(place))
}

// keep takes out every item that is not wanted.
func (t *timeline[K]) keep(wanted func(timed[K]) bool) {
	kept := t.items[:0]
	for _, item := range t.items {
		if wanted(item) {
			kept = append(kept, item)
		}
	}
	clear(t.items[len(kept):])
	t.items = kept
	for i := len(kept) / fanOut; i >= 0 && len(kept) > 0; i-- {
		t.down(i)
	}
}

func (t *timeline[K]) settle(i int) {
	if !t.down(i) {
		t.up(i)
	}
}

func (t *timeline[K]) up(i int) {
	item := t.items[i]
	for i > 0 {
		parent := (i - 1) / fanOut
		if t.items[parent].at <= item.at {
			break
		}
		t.put(i, t.items[parent])
		i = parent
	}
	t.put(i, item)
}

// down tells whether the item moved.
func (t *timeline[K]) down(i int) bool {
	from, item := i, t.items[i]
	for {
		first := i*fanOut + 1
		if first >= len(t.items) {
			break
		}
		least := first
		for child := first + 1; child < min(first+fanOut, len(t.items)); child++ {
			if t.items[child].at < t.items[least].at {
				least = child
			}
		}
		if t.items[least].at >= item.at {
			break
		}
		t.put(i, t.items[least])
		i = least
	}
	t.put(i, item)
	return i != from
}

func (t *timeline[K]) put(i int, item timed[K]) {
	t.items[i] = item
	if t.moved != nil {
		t.moved(item.key, int32(i))
	}
}
