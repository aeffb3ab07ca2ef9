package redistest

import (
	"fmt"
	"strconv"
)

// slots is a range that a cluster's node serves.
type slots struct {
	first, last int
	master      int // its port
}

// slotsOf gives the ranges as a node sees them.
func slotsOf(s *Server) ([]slots, error) {
	got, err := s.Do("CLUSTER", "SLOTS")
	if err != nil {
		return nil, err
	}
	var all []slots
	for _, one := range items(got) {
		var r slots
		for i, part := range items(one) {
			switch i {
			case 0:
				r.first = number(part)
			case 1:
				r.last = number(part)
			case 2:
				if node := items(part); len(node) > 1 {
					r.master = number(node[1])
				}
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// role is what a server says it is.
type role struct {
	name     string // master or slave, as the protocol has it
	master   int    // a replica's, its port
	link     string // a replica's, to its master
	offset   int    // in the stream of writes
	replicas int    // a master's, that are connected
}

func roleOf(s *Server) (role, error) {
	if !s.Runs() {
		return role{}, fmt.Errorf("server %d does not run", s.port)
	}
	got, err := s.Do("ROLE")
	if err != nil {
		return role{}, err
	}
	parts := items(got)
	if len(parts) < 3 {
		return role{}, fmt.Errorf("server %d has the role %v", s.port, got)
	}
	r := role{name: fmt.Sprint(parts[0])}
	if r.name == "master" {
		r.offset, r.replicas = number(parts[1]), len(items(parts[2]))
		return r, nil
	}
	r.master = number(parts[2])
	if len(parts) > 4 {
		r.link, r.offset = fmt.Sprint(parts[3]), number(parts[4])
	}
	return r, nil
}

// follows wants a replica to have what its master had a moment ago.
func (s *Server) follows(master *Server) error {
	leads, err := roleOf(master)
	if err != nil {
		return err
	}
	r, err := roleOf(s)
	switch {
	case err != nil:
		return err
	case r.name == "master" || r.master != master.port:
		return fmt.Errorf("server %d is a %s of %d", s.port, r.name, r.master)
	case r.link != "connected" || r.offset < leads.offset:
		return fmt.Errorf("server %d has %d of %d, its link is %s", s.port, r.offset, leads.offset, r.link)
	}
	return nil
}

// hearsNothing wants a replica to have got no further from one command to the next: between them it has read what there was.
func (s *Server) hearsNothing() error {
	first, err := roleOf(s)
	if err != nil {
		return err
	}
	second, err := roleOf(s)
	if err == nil && second.offset != first.offset {
		err = fmt.Errorf("server %d has got from %d to %d", s.port, first.offset, second.offset)
	}
	return err
}

func items(reply any) []any {
	all, _ := reply.([]any)
	return all
}

// number reads a number that may have come as text.
func number(reply any) int {
	n, err := strconv.Atoi(fmt.Sprint(reply))
	if err != nil {
		return -1
	}
	return n
}
