package queue

// plenty is how many waiters at once make a line give all its memory back when it is
// empty again.
const plenty = 4096

// spares are records to use again, so that a line in steady use allocates nothing.
type spares[T any] struct {
	tenants []*tenant[T]
	lanes   []*lane[T]
	sorted  []int32
	walk    walk[T]
}

// keep adds a record to the spares, and drops what then is more than those in use and a few.
func keep[R any](spare []*R, record *R, used int) []*R {
	const few = 256
	spare = append(spare, record)
	most := min(used+few, len(spare))
	clear(spare[most:])
	return spare[:most]
}

// take gives a spare record or a new one.
func take[R any](spare *[]*R) *R {
	s := *spare
	if len(s) == 0 {
		return new(R)
	}
	last := len(s) - 1
	record := s[last]
	s[last] = nil
	*spare = s[:last]
	return record
}

// clear drops an empty line's memory.
func (l *Line[K, T]) clear() {
	l.classes, l.keys, l.bounds, l.free, l.byAccount = nil, nil, nil, nil, nil
	l.byKey = make(map[K]*class[T])
	l.tenants = make(map[string]*tenant[T])
	l.lanes = make(map[crossing[T]]*lane[T])
	l.most, l.spare = 0, spares[T]{}
}

func (l *Line[K, T]) tenantOf(name string) *tenant[T] {
	if t, ok := l.tenants[name]; ok {
		return t
	}
	t := take(&l.spare.tenants)
	t.name, t.turn = name, l.tick()
	l.tenants[name] = t
	return t
}

func (l *Line[K, T]) dropTenant(t *tenant[T]) {
	delete(l.tenants, t.name)
	*t = tenant[T]{}
	l.spare.tenants = keep(l.spare.tenants, t, len(l.tenants))
}

func (l *Line[K, T]) laneOf(t *tenant[T], c *class[T]) *lane[T] {
	at := crossing[T]{t, c}
	if n, ok := l.lanes[at]; ok {
		return n
	}
	n := take(&l.spare.lanes)
	n.join(t)
	if t.parked {
		n.class, n.at = c, -1
		c.parked++
	} else {
		c.push(n)
	}
	l.bound(c)
	l.lanes[at] = n
	return n
}

func (l *Line[K, T]) dropLane(n *lane[T]) {
	c := n.class
	delete(l.lanes, crossing[T]{n.tenant, c})
	if n.at < 0 {
		c.parked--
	} else {
		c.remove(n)
		l.bound(c)
	}
	n.class = nil
	n.part()
	l.spare.lanes = keep(l.spare.lanes, n, len(l.lanes))
}

func (l *Line[K, T]) classOf(key K, accounts []int32) *class[T] {
	if c, ok := l.byKey[key]; ok {
		return c
	}
	c := l.spareClass()
	l.byKey[key] = c
	l.keys[c.slot] = key
	c.accounts = ascending(c.accounts, accounts)
	l.list(c)
	return c
}

func (l *Line[K, T]) spareClass() *class[T] {
	if last := len(l.free) - 1; last >= 0 {
		slot := l.free[last]
		l.free = l.free[:last]
		return l.classes[slot]
	}
	var none K
	c := &class[T]{slot: int32(len(l.classes))}
	l.classes = append(l.classes, c)
	l.keys = append(l.keys, none)
	l.bounds = append(l.bounds, 0)
	return c
}

func (l *Line[K, T]) dropClass(c *class[T]) {
	l.unlist(c)
	var none K
	delete(l.byKey, l.keys[c.slot])
	l.keys[c.slot] = none
	l.free = append(l.free, c.slot)
	const large = 1024
	if cap(c.heap) > large {
		c.heap = nil
	}
	if cap(c.accounts) > large {
		c.accounts, c.places = nil, nil
	}
}
