package memstore

import "usher.internal/core"

// mark remembers an ended lease or a released request id.
type mark struct {
	key     [16]byte
	until   int64
	account int32 // number; noAccount when it is not known
	flags   flags
	why     core.LeaseEnd // where it ended by itself and that is known
	request bool          // the key is a request's
}

// marks is a queue of marks in the order they were made, which is that of their
// ends. It lies in pages that are used again; a mark stays where it is while it lives.
type marks struct {
	pages []*[markPage]mark // by number of the page, modulo the length, which is a power of two
	spare *[markPage]mark
	first uint32 // number of the oldest
	count uint32
	most  uint32
}

const (
	markPage = 1024
	// maxMarks keeps numbers below the bit that tells a mark from a lease.
	maxMarks = 1 << 30
	// marksATick is how many marks that are over a call throws out: more than it
	// makes on average, so that they do not pile up between sweeps.
	marksATick = 4
)

func (m *marks) at(number uint32) *mark {
	return &m.pages[number/markPage&uint32(len(m.pages)-1)][number%markPage]
}

// due tells that the oldest mark is over.
func (m *marks) due(now int64) bool { return m.count > 0 && m.at(m.first).until <= now }

// push gives a place for one more mark, and its name.
func (m *marks) push() (ref, *mark) {
	number := m.first + m.count
	if number%markPage == 0 || m.count == 0 {
		m.provide(number / markPage)
	}
	m.count++
	return refMark | ref(number), m.at(number)
}

// provide sees to it that the page of the newest mark is there.
func (m *marks) provide(page uint32) {
	if needed := int(page-m.first/markPage) + 1; needed > len(m.pages) {
		pages := make([]*[markPage]mark, max(1, 2*len(m.pages)))
		for p := m.first / markPage; p != page; p++ {
			pages[p&uint32(len(pages)-1)] = m.pages[p&uint32(len(m.pages)-1)]
		}
		m.pages = pages
	}
	place := &m.pages[page&uint32(len(m.pages)-1)]
	if *place != nil {
		return
	}
	if *place, m.spare = m.spare, nil; *place == nil {
		*place = new([markPage]mark)
	}
}

// pop forgets the oldest mark, and its page with the page's last one.
func (m *marks) pop() {
	m.first++
	m.count--
	if m.first%markPage == 0 {
		page := &m.pages[(m.first/markPage-1)&uint32(len(m.pages)-1)]
		m.spare, *page = *page, nil
	}
}

// living gives the mark that r names, unless it is over.
func (m *marks) living(r ref, now int64) *mark {
	if !r.marked() {
		return nil
	}
	if found := m.at(uint32(r &^ refMark)); found.until > now {
		return found
	}
	return nil
}

// markLease leaves a mark of an ended lease.
func (s *Store) markLease(now int64, id core.LeaseID, account int32, how flags) *mark {
	r, m := s.addMark(mark{key: id, until: now + s.markTTL, account: account, flags: how})
	s.leases.byID.put(&m.key, r)
	return m
}

// markRequest leaves a mark of a released request id.
func (s *Store) markRequest(now int64, key core.RequestKey, account int32) {
	r, m := s.addMark(mark{key: key, until: now + s.markTTL, account: account, request: true})
	s.leases.byRequest.put(&m.key, r)
}

func (s *Store) addMark(made mark) (ref, *mark) {
	s.changes++
	if s.marks.count == s.marks.most {
		s.dropMark()
	}
	r, place := s.marks.push()
	*place = made
	return r, place
}

// dropMark forgets the oldest mark. What its key names may be something newer by now.
func (s *Store) dropMark() {
	old, r := s.marks.at(s.marks.first), refMark|ref(s.marks.first)
	if old.request {
		s.leases.byRequest.drop(&old.key, r)
	} else {
		s.leases.byID.drop(&old.key, r)
	}
	s.marks.pop()
}

// tidyMarks forgets marks that are over, at most limit of them, and gives their number.
func (s *Store) tidyMarks(now int64, limit int) (n int) {
	for ; n < limit && s.marks.due(now); n++ {
		s.dropMark()
	}
	return n
}
