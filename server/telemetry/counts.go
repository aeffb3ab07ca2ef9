package telemetry

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"usher.internal/core"
)

const (
	eventKinds    = int(core.EventSwitched) + 1
	eventOutcomes = int(core.OutcomeOverloaded) + 1
	eventStatuses = int(core.EventReleaseRecorded) + 1
	// callCodes counts gRPC's codes; any other is counted as Unknown.
	callCodes = int(codes.Unauthenticated) + 1
)

// EventCount counts events of one kind, outcome and status.
type EventCount struct {
	Kind    core.EventKind
	Outcome core.Outcome
	Status  core.EventStatus
	Total   uint64
}

type eventCounts [eventKinds][eventOutcomes][eventStatuses]atomic.Uint64

// add counts an event; what is out of range is counted under 0.
func (c *eventCounts) add(kind core.EventKind, outcome core.Outcome, status core.EventStatus) {
	k, o, s := int(kind), int(outcome), int(status)
	if k >= eventKinds {
		k = 0
	}
	if o >= eventOutcomes {
		o = 0
	}
	if s >= eventStatuses {
		s = 0
	}
	c[k][o][s].Add(1)
}

func (c *eventCounts) list() []EventCount {
	var out []EventCount
	for k := range c {
		for o := range c[k] {
			for s := range c[k][o] {
				n := c[k][o][s].Load()
				if n == 0 {
					continue
				}
				out = append(out, EventCount{core.EventKind(k), core.Outcome(o), core.EventStatus(s), n})
			}
		}
	}
	return out
}

// CallCount counts the RPCs of one method that ended with one code.
type CallCount struct {
	// Method is the full name, /package.Service/Method.
	Method string
	Code   codes.Code
	Total  uint64
	// Took is the sum of their durations.
	Took time.Duration
}

// callCounts has an entry for each method that was called. Interceptors see registered methods only, so it is bounded.
type callCounts struct {
	methods sync.Map // string → *methodCounts
}

type methodCounts [callCodes]struct {
	total atomic.Uint64
	took  atomic.Int64 // ns
}

func (c *callCounts) add(method string, code codes.Code, took time.Duration) {
	m, ok := c.methods.Load(method)
	if !ok {
		m, _ = c.methods.LoadOrStore(method, new(methodCounts))
	}
	counts, ok := m.(*methodCounts)
	if !ok {
		return
	}
	if int(code) >= callCodes {
		code = codes.Unknown
	}
	counts[code].total.Add(1)
	counts[code].took.Add(int64(took))
}

func (c *callCounts) list() []CallCount {
	var out []CallCount
	c.methods.Range(func(key, value any) bool {
		method, _ := key.(string)
		counts, ok := value.(*methodCounts)
		if !ok {
			return true
		}
		for code := range counts {
			if n := counts[code].total.Load(); n > 0 {
				out = append(out, CallCount{method, codes.Code(code), n, time.Duration(counts[code].took.Load())})
			}
		}
		return true
	})
	slices.SortFunc(out, func(a, b CallCount) int {
		return cmp.Or(cmp.Compare(a.Method, b.Method), cmp.Compare(a.Code, b.Code))
	})
	return out
}
