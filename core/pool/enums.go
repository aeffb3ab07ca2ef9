package pool

// Transport is the wire protocol a request needs or an account offers.
type Transport uint8

const (
	// TransportAny is a request that names no transport.
	TransportAny Transport = iota
	// HTTPSSE is plain HTTP with server-sent events.
	HTTPSSE
	// ResponsesWebSockets is the first version of the responses socket.
	ResponsesWebSockets
	// ResponsesWebSocketsV2 is its second version.
	ResponsesWebSocketsV2
	// TransportUnsupported is a name that nothing offers: no account fits it.
	TransportUnsupported
)

var transportNames = [...]string{"", "http_sse", "responses_websockets", "responses_websockets_v2", "unsupported"}

// String gives the configuration's name; TransportAny is blank.
func (t Transport) String() string { return name(transportNames[:], int(t)) }

// ParseTransport reads a name as String writes it, case-sensitively; "" is TransportAny.
// For any other text it gives TransportUnsupported and false.
func ParseTransport(s string) (Transport, bool) {
	for i, n := range transportNames[:TransportUnsupported] {
		if n == s {
			return Transport(i), true
		}
	}
	return TransportUnsupported, false
}

// Transports is a set of transports. The zero value is the empty set.
type Transports uint8

// TransportsOf makes a set.
func TransportsOf(list ...Transport) Transports {
	var s Transports
	for _, t := range list {
		s = s.With(t)
	}
	return s
}

// With adds t; TransportAny and TransportUnsupported cannot be members and change nothing.
func (s Transports) With(t Transport) Transports {
	if t == TransportAny || t >= TransportUnsupported {
		return s
	}
	return s | 1<<t
}

// Has tells whether t is a member.
func (s Transports) Has(t Transport) bool {
	return t != TransportAny && t < TransportUnsupported && s&(1<<t) != 0
}

// Intersects tells whether the sets share a member.
func (s Transports) Intersects(o Transports) bool { return s&o != 0 }

// Serve tells whether an account that offers s can take a request that needs t.
// Every account can speak plain HTTP, so only the sockets must be offered.
func (s Transports) Serve(t Transport) bool {
	return t == TransportAny || t == HTTPSSE || s.Has(t)
}

// List gives the members in the order of their declaration.
func (s Transports) List() []Transport {
	var out []Transport
	for t := HTTPSSE; t < TransportUnsupported; t++ {
		if s.Has(t) {
			out = append(out, t)
		}
	}
	return out
}

// State is what an operator set. The zero value is Active.
type State uint8

const (
	// Active takes everything.
	Active State = iota
	// Draining takes no new session; bound ones go on until DrainUntil.
	Draining
	// Paused takes no new lease; its bindings are kept.
	Paused
	// Disabled takes nothing; its bindings are dropped.
	Disabled
)

var stateNames = [...]string{"active", "draining", "paused", "disabled"}

// String gives the lower-case name.
func (s State) String() string { return name(stateNames[:], int(s)) }

// ParseState reads a lower-case name; false for any other text.
func ParseState(s string) (State, bool) {
	for i, n := range stateNames {
		if n == s {
			return State(i), true
		}
	}
	return Active, false
}

// Status is the account's own status as its upstream or its owner reports it,
// apart from State. The zero value is StatusActive.
type Status uint8

const (
	// StatusActive can serve.
	StatusActive Status = iota
	// StatusError is broken until somebody repairs it.
	StatusError
	// StatusDisabled was switched off.
	StatusDisabled
	// StatusUnknown is any other status; it does not serve.
	StatusUnknown
)

var statusNames = [...]string{"active", "error", "disabled", "unknown"}

// String gives the lower-case name.
func (s Status) String() string { return name(statusNames[:], int(s)) }

// ParseStatus reads a lower-case name; every other text is StatusUnknown.
func ParseStatus(s string) Status {
	for i, n := range statusNames {
		if n == s {
			return Status(i)
		}
	}
	return StatusUnknown
}

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "invalid"
}
