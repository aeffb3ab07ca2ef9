package conformance

import "usher.internal/core/decide"

// Weights as recorded.
type Weights struct {
	Priority  float64 `json:"priority"`
	Load      float64 `json:"load"`
	Queue     float64 `json:"queue"`
	ErrorRate float64 `json:"error_rate"`
	TTFT      float64 `json:"ttft"`
}

// Decide converts.
func (w Weights) Decide() decide.Weights { return decide.Weights(w) }

// ScoreCase is a record of score.jsonl.
type ScoreCase struct {
	Meta
	Weights  Weights        `json:"weights"`
	TopK     int            `json:"top_k"`
	Accounts []ScoreAccount `json:"accounts"`
	Expected struct {
		LoadSkew Bits          `json:"load_skew_bits"`
		TopK     int           `json:"top_k"`
		Scores   []ScoredEntry `json:"scores"`
		TopIDs   []string      `json:"top_ids"`
	} `json:"expected"`
}

// ScoreAccount is one account to be scored.
type ScoreAccount struct {
	ID             string `json:"id"`
	Priority       int    `json:"priority"`
	MaxConcurrency int    `json:"max_concurrency"`
	Current        int32  `json:"current"` // slots in use
	Waiting        int32  `json:"waiting"`
	ErrorRate      Bits   `json:"error_rate_bits"`
	TTFT           Bits   `json:"ttft_bits"` // ms; null without a sample
}

// Stat converts.
func (a *ScoreAccount) Stat() decide.Stat {
	return decide.Stat{ErrorRate: a.ErrorRate.Value, TTFT: a.TTFT.Value, HasTTFT: a.TTFT.Valid}
}

// Load converts; the record's load rate is a whole number of percent.
func (a *ScoreAccount) Load() decide.Load { return Load(a.Current, a.Waiting, a.MaxConcurrency) }

// Load gives a load with the rate as the record's own store computes it: truncated.
func Load(inUse, waiting int32, maxConcurrency int) decide.Load {
	l := decide.Load{InUse: inUse, Waiting: waiting}
	if maxConcurrency > 0 {
		l.Rate = float64((int64(inUse) + int64(waiting)) * 100 / int64(maxConcurrency))
	}
	return l
}

// ScoredEntry is an account with its expected score.
type ScoredEntry struct {
	ID       string  `json:"id"`
	LoadRate float64 `json:"load_rate"`
	Score    Bits    `json:"score_bits"`
}

// OrderCase is a record of order.jsonl.
type OrderCase struct {
	Meta
	Anchor     Anchor `json:"anchor"`
	Candidates []struct {
		ID    string `json:"id"`
		Score Bits   `json:"score_bits"`
	} `json:"candidates"`
	Expected struct {
		Seed   uint64   `json:"seed,string"`
		Floats []Bits   `json:"rng_float_bits"`
		Order  []string `json:"order"`
	} `json:"expected"`
}

// Anchor as recorded.
type Anchor struct {
	SessionHash string  `json:"session_hash"`
	ResponseID  string  `json:"previous_response_id"`
	Model       string  `json:"requested_model"`
	GroupID     *string `json:"group_id"`
}

// Decide converts.
func (a *Anchor) Decide() decide.Anchor {
	return decide.Anchor{SessionHash: a.SessionHash, ResponseID: a.ResponseID, Model: a.Model, Group: Group(a.GroupID)}
}

// EWMACase is a record of ewma.jsonl.
type EWMACase struct {
	Meta
	Reports  []Sample    `json:"reports"`
	Expected []StatEntry `json:"expected"`
}

// Sample is one report of an account's outcome.
type Sample struct {
	AccountID    string `json:"account_id"`
	Success      bool   `json:"success"`
	FirstTokenMS *int64 `json:"first_token_ms"`
}

// TTFT gives the first token's time in ms, 0 when there is none.
func (s *Sample) TTFT() float64 {
	if s.FirstTokenMS == nil {
		return 0
	}
	return float64(*s.FirstTokenMS)
}

// StatEntry is an account's statistics.
type StatEntry struct {
	AccountID string `json:"account_id"`
	ErrorRate Bits   `json:"error_rate_bits"`
	HasTTFT   bool   `json:"has_ttft"`
	TTFT      Bits   `json:"ttft_bits"` // ms
}

// NewStatEntry converts.
func NewStatEntry(id string, s decide.Stat) StatEntry {
	e := StatEntry{AccountID: id, ErrorRate: Exact(s.ErrorRate), HasTTFT: s.HasTTFT}
	if s.HasTTFT {
		e.TTFT = Exact(s.TTFT)
	}
	return e
}
