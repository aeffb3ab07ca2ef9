package core

import (
	"math"
	"testing"

	"usher.internal/core/internal/conformance"
)

// TestChangedVectorsFail changes one thing of a recorded case at a time: each must be noticed.
func TestChangedVectorsFail(t *testing.T) {
	other := "no such account"
	changes := map[string]func(c *conformance.SelectCase) bool{
		"another winner": func(c *conformance.SelectCase) bool {
			c.Expected.AccountID = &other
			return true
		},
		"no winner": func(c *conformance.SelectCase) bool {
			if c.Expected.Error != nil {
				return false
			}
			c.Expected.Error, c.Expected.AccountID, c.Expected.Acquired = &other, nil, false
			return true
		},
		"one flipped bit of the skew": func(c *conformance.SelectCase) bool {
			skew := &c.Expected.Decision.LoadSkew
			*skew = conformance.Exact(math.Float64frombits(math.Float64bits(skew.Value) ^ 1))
			return true
		},
		"another order": func(c *conformance.SelectCase) bool {
			order := c.Expected.SelectionOrder
			if len(order) < 2 {
				return false
			}
			order[0], order[1] = order[1], order[0]
			return true
		},
		"no order": func(c *conformance.SelectCase) bool {
			had := c.Expected.SelectionOrder != nil
			c.Expected.SelectionOrder = nil
			return had
		},
		"an order where there was none": func(c *conformance.SelectCase) bool {
			had := c.Expected.SelectionOrder != nil
			c.Expected.SelectionOrder = []string{other}
			return !had
		},
		"one candidate more": func(c *conformance.SelectCase) bool {
			c.Expected.Decision.CandidateCount++
			return true
		},
		"another binding afterwards": func(c *conformance.SelectCase) bool {
			if len(c.Expected.After.SessionBindings) == 0 {
				return false
			}
			c.Expected.After.SessionBindings[0].AccountID = other
			return true
		},
		"a binding's life afterwards": func(c *conformance.SelectCase) bool {
			if len(c.Expected.After.SessionBindings) == 0 {
				return false
			}
			c.Expected.After.SessionBindings[0].TTLMS++
			return true
		},
		"a slot more afterwards": func(c *conformance.SelectCase) bool {
			c.Expected.After.InUse[c.World.Accounts[0].ID]++
			return true
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			tried := 0
			report, err := conformance.Run("internal/conformance/testdata", "select", func(c *conformance.SelectCase) conformance.Outcome {
				if tried >= 20 || checkSelect(t, c).Skip != "" || !change(c) {
					return conformance.Outcome{Skip: "not tried"}
				}
				tried++
				if o := checkSelect(t, c); len(o.Differences) > 0 {
					return o
				}
				t.Errorf("record %d: not noticed", c.Index)
				return conformance.Outcome{}
			})
			if err != nil {
				t.Fatal(err)
			}
			if tried < 20 || len(report.Differences) < tried || report.Err() == nil {
				t.Errorf("%d records changed, %d differences, and the report says %v", tried, len(report.Differences), report.Err())
			}
		})
	}
}

// TestChangedSequenceFails changes what a sequence ends with, and one of its results.
func TestChangedSequenceFails(t *testing.T) {
	changes := map[string]func(c *conformance.SequenceCase) bool{
		"a figure": func(c *conformance.SequenceCase) bool {
			c.Final.Metrics.SelectTotal++
			return true
		},
		"a bit of a statistic": func(c *conformance.SequenceCase) bool {
			e := &c.Final.Stats[0].ErrorRate
			*e = conformance.Exact(math.Float64frombits(math.Float64bits(e.Value) ^ 1))
			return true
		},
		"a result": func(c *conformance.SequenceCase) bool {
			for i := range c.Ops {
				if c.Ops[i].Expected != nil && c.Ops[i].Expected.AccountID != nil {
					c.Ops[i].Expected.Decision.TopK++
					return true
				}
			}
			return false
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			whole := 0
			_, err := conformance.Each("internal/conformance/testdata", "sequence", func(c *conformance.SequenceCase) error {
				plain := conformance.NewReport("sequence")
				checkSequence(t, c, plain)
				if plain.SkippedTotal() > 0 {
					return nil
				}
				if !change(c) {
					return nil
				}
				whole++
				changed := conformance.NewReport("sequence")
				checkSequence(t, c, changed)
				if changed.Err() == nil {
					t.Errorf("record %d: not noticed", c.Index)
				}
				return nil
			})
			if err != nil || whole == 0 {
				t.Fatalf("%d sequences compared to their end, error %v", whole, err)
			}
		})
	}
}
