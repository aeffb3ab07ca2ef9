package conformance

// SequenceCase is a record of sequence.jsonl: one scheduler, one thread.
type SequenceCase struct {
	Meta
	World
	Ops   []Op `json:"ops"`
	Final struct {
		Metrics Metrics     `json:"metrics"`
		After   State       `json:"after"`
		Stats   []StatEntry `json:"stats"`
	} `json:"final"`
}

// The kinds of operation; each one's fields are named beside those of Op.
const (
	OpSelect         = "select"          // Request, Expected
	OpRelease        = "release"         // SelectOp
	OpReport         = "report"          // Sample
	OpReportSwitch   = "report_switch"   // nothing
	OpBindResponse   = "bind_response"   // GroupID, ResponseID, AccountID, TTLMS
	OpSetSchedulable = "set_schedulable" // AccountID, Value
	OpSetWaiting     = "set_waiting"     // AccountID, Waiting
	OpAdvance        = "advance"         // AdvanceMS
)

// Op is one operation.
type Op struct {
	Op string `json:"op"`
	Sample

	Request  *Request `json:"request"`
	Expected *Result  `json:"expected"`

	SelectOp   int     `json:"select_op"` // index of the select whose slot is given back
	GroupID    *string `json:"group_id"`
	ResponseID string  `json:"response_id"` // may be padded
	TTLMS      int64   `json:"ttl_ms"`      // 0 is one hour
	Value      bool    `json:"value"`
	Waiting    int32   `json:"waiting"`
	AdvanceMS  int64   `json:"advance_ms"`
}

// Metrics are the figures at the end; selects count with their errors.
type Metrics struct {
	SelectTotal          int64 `json:"select_total"`
	StickyPreviousHits   int64 `json:"sticky_previous_hit_total"`
	StickySessionHits    int64 `json:"sticky_session_hit_total"`
	LoadBalanceSelects   int64 `json:"load_balance_select_total"`
	AccountSwitches      int64 `json:"account_switch_total"`
	StickyHitRatio       Bits  `json:"sticky_hit_ratio_bits"`
	AccountSwitchRate    Bits  `json:"account_switch_rate_bits"`
	LoadSkewAvg          Bits  `json:"load_skew_avg_bits"`
	RuntimeStatsAccounts int   `json:"runtime_stats_account_count"`
}
