package conformance

// SelectCase is a record of select.jsonl. The clock stands still.
type SelectCase struct {
	Meta
	World
	Theme    string  `json:"theme"`
	Request  Request `json:"request"`
	Expected struct {
		Result
		After State `json:"after"`
	} `json:"expected"`
}

// Result is what came of one Select.
type Result struct {
	Error          *string   `json:"error"`
	Decision       Decision  `json:"decision"`
	AccountID      *string   `json:"account_id"` // nil on error
	Acquired       bool      `json:"acquired"`
	WaitPlan       *WaitPlan `json:"wait_plan"`
	SelectionOrder []string  `json:"selection_order"` // as tried; nil when load balancing had no candidates
}

// Decision is how it came about; the last three are 0 outside load balancing.
type Decision struct {
	Layer             string `json:"layer"`
	StickyPreviousHit bool   `json:"sticky_previous_hit"`
	StickySessionHit  bool   `json:"sticky_session_hit"`
	CandidateCount    int    `json:"candidate_count"`
	TopK              int    `json:"top_k"`
	LoadSkew          Bits   `json:"load_skew_bits"`
}

// WaitPlan is where and how long to wait.
type WaitPlan struct {
	AccountID      string `json:"account_id"`
	MaxConcurrency int    `json:"max_concurrency"`
	TimeoutMS      int64  `json:"timeout_ms"`
	MaxWaiting     int    `json:"max_waiting"`
}

// State is what stands afterwards. Bindings carry their remaining life; lapsed ones are left out.
type State struct {
	InUse                  map[string]int32 `json:"in_use"` // slots held, by account id
	SessionBindings        []Binding        `json:"session_bindings"`
	ResponseBindingsLocal  []Binding        `json:"response_bindings_local"`
	ResponseBindingsShared []Binding        `json:"response_bindings_shared"`
}
