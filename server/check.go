package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	maxID         = 128
	maxHash       = 512
	maxToken      = 1024
	maxDecisionID = 64

	minLeaseTTL = time.Second
	maxLeaseTTL = 24 * time.Hour

	// maxViolations bounds what is told of one request: details travel in a header, and
	// some clients refuse headers above 8 KiB.
	maxViolations = 32
)

// place is where a message lies in its request. Its text is made only when something is wrong.
type place struct {
	prefix string
	// index is of the list that prefix names; -1 when it names no list.
	index int
}

var root = place{index: -1}

func (p place) path(field string) string {
	switch {
	case p.index >= 0:
		return p.prefix + "[" + strconv.Itoa(p.index) + "]" + dotted(field)
	case p.prefix != "":
		return p.prefix + dotted(field)
	}
	return field
}

func dotted(field string) string {
	if field == "" {
		return ""
	}
	return "." + field
}

// checker collects what is wrong with a request. Its zero value is ready; while nothing is wrong it allocates nothing.
type checker struct {
	violations []*errdetails.BadRequest_FieldViolation
	// more counts violations that were left out.
	more int
}

// bad records a violation. The text must not quote the value: it may be a hash or a token, and errors are logged.
func (c *checker) bad(at place, field, text string) {
	if len(c.violations) == maxViolations {
		c.more++
		return
	}
	c.violations = append(c.violations, &errdetails.BadRequest_FieldViolation{Field: at.path(field), Description: text})
}

// err gives the status of what was found; nil when nothing was.
func (c *checker) err() error {
	if len(c.violations) == 0 {
		return nil
	}
	first := c.violations[0]
	text := first.GetField() + ": " + first.GetDescription()
	if n := len(c.violations) - 1 + c.more; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	st := status.New(codes.InvalidArgument, text)
	full, err := st.WithDetails(
		&errdetails.BadRequest{FieldViolations: c.violations},
		&errdetails.ErrorInfo{Reason: reasonInvalid, Domain: errorDomain},
	)
	if err != nil {
		return st.Err()
	}
	return full.Err()
}

// id checks an id that may be blank.
func (c *checker) id(at place, field, v string) {
	switch {
	case len(v) > maxID:
		c.bad(at, field, "has more than 128 bytes")
	case hasControl(v):
		c.bad(at, field, "has control characters")
	}
}

// name checks an id that is required.
func (c *checker) name(at place, field, v string) {
	if isBlank(v) {
		c.bad(at, field, "is blank")
		return
	}
	c.id(at, field, v)
}

// hash checks an opaque text of the caller's that may be blank.
func (c *checker) hash(at place, field, v string) {
	if len(v) > maxHash {
		c.bad(at, field, "has more than 512 bytes")
	}
}

func (c *checker) token(at place, field, v string) {
	switch {
	case v == "":
		c.bad(at, field, "is blank")
	case len(v) > maxToken:
		c.bad(at, field, "has more than 1024 bytes")
	}
}

// count checks a number of things, given in words.
func (c *checker) count(field string, n, most int) bool {
	if n <= most {
		return true
	}
	c.bad(root, field, fmt.Sprintf("has %d entries, at most %d", n, most))
	return false
}

// enum checks a number against the names of its type.
func (c *checker) enum(at place, field string, v int32, names map[int32]string) {
	if v == 0 {
		return
	}
	if _, known := names[v]; !known {
		c.bad(at, field, "is not a known value")
	}
}

// span checks a duration that may be unset.
func (c *checker) span(field string, d *durationpb.Duration, least, most time.Duration) {
	if d == nil {
		return
	}
	if v := d.AsDuration(); !d.IsValid() || v < least || v > most {
		c.bad(root, field, fmt.Sprintf("must be from %v to %v", least, most))
	}
}

// maxSample bounds a measured time: one beyond it has the wrong unit, and would outweigh all others for long.
const maxSample = 24 * time.Hour

// sample checks a measured duration that may be unset.
func (c *checker) sample(at place, field string, d *durationpb.Duration) {
	switch {
	case d == nil:
	case !d.IsValid():
		c.bad(at, field, "is not a valid duration")
	case d.AsDuration() < 0 || d.AsDuration() > maxSample:
		c.bad(at, field, "must be from 0 to 24h")
	}
}

func hasControl(s string) bool {
	ascii := true
	for i := range len(s) {
		switch b := s[i]; {
		case b < ' ' || b == 0x7f:
			return true
		case b >= 0x80:
			ascii = false
		}
	}
	if ascii {
		return false
	}
	for _, r := range s {
		if r >= 0x80 && r < 0xa0 {
			return true
		}
	}
	return false
}

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }
