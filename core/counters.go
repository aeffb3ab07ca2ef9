package core

import (
	"math"
	"sync"
	"time"

	"usher.internal/core/decide"
)

const (
	layerKinds   = int(decide.LayerSession) + 1
	outcomeKinds = int(OutcomeFailed) + 1
	refusalKinds = int(RefusedWaitTimeout) + 1
)

// counters are the totals since the start.
type counters struct {
	// mu guards what follows.
	mu            sync.Mutex
	selects       uint64
	previousHits  uint64
	sessionHits   uint64
	loadBalanced  uint64
	switches      uint64
	latency       time.Duration
	skewMilli     int64
	answered      uint64
	answeredTime  time.Duration
	balanced      uint64
	balancedSkew  float64
	expired       uint64
	byLayer       [layerKinds][outcomeKinds]uint64
	refusedLayers [layerKinds][refusalKinds]uint64
}

// selected counts one Select.
func (c *counters) selected(d *Decision, o SelectOutcome, r RefusalReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.selects++
	c.latency += d.Latency
	c.skewMilli += int64(math.Round(d.LoadSkew * 1000))
	if d.PreviousHit {
		c.previousHits++
	}
	if d.SessionHit {
		c.sessionHits++
	}
	balanced := d.Layer == decide.LayerLoadBalance
	if balanced {
		c.loadBalanced++
	}
	if o == OutcomeSelected || o == OutcomePlanned {
		c.answered++
		c.answeredTime += d.Latency
		if balanced {
			c.balanced++
			c.balancedSkew += d.LoadSkew
		}
	}
	if o == OutcomeRefused {
		c.refusedLayers[d.Layer][r]++
		return
	}
	c.byLayer[d.Layer][o]++
}

func (c *counters) switched() {
	c.mu.Lock()
	c.switches++
	c.mu.Unlock()
}

func (c *counters) leasesExpired(n int) {
	c.mu.Lock()
	c.expired += uint64(n)
	c.mu.Unlock()
}

// totals gives the figures; statAccounts comes from the statistics.
func (c *counters) totals(statAccounts int) Totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := Totals{
		Selects: c.selects, PreviousHits: c.previousHits, SessionHits: c.sessionHits,
		LoadBalanced: c.loadBalanced, Switches: c.switches, Latency: c.latency, StatAccounts: statAccounts,
	}
	if n := float64(c.selects); n > 0 {
		t.LatencyAvg = c.latency / time.Duration(c.selects)
		t.StickyHitRatio = float64(c.previousHits+c.sessionHits) / n
		t.SwitchRate = float64(c.switches) / n
		t.LoadSkewAvg = float64(c.skewMilli) / 1000 / n
	}
	if c.answered > 0 {
		t.AnsweredLatencyAvg = c.answeredTime / time.Duration(c.answered)
	}
	if c.balanced > 0 {
		t.AnsweredLoadSkewAvg = c.balancedSkew / float64(c.balanced)
	}
	return t
}

// counts lists the Selects by layer and outcome that occurred.
func (c *counters) counts() (out []SelectCount, expired uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for layer := range c.byLayer {
		for outcome, total := range c.byLayer[layer] {
			if total > 0 {
				out = append(out, SelectCount{Layer: decide.Layer(layer), Outcome: SelectOutcome(outcome), Total: total})
			}
		}
		for reason, total := range c.refusedLayers[layer] {
			if total > 0 {
				out = append(out, SelectCount{
					Layer: decide.Layer(layer), Outcome: OutcomeRefused, Refusal: RefusalReason(reason), Total: total,
				})
			}
		}
	}
	return out, c.expired
}
