package pool

import (
	"slices"
	"testing"
)

func TestTransportNames(t *testing.T) {
	for _, tr := range []Transport{TransportAny, HTTPSSE, ResponsesWebSockets, ResponsesWebSocketsV2} {
		got, ok := ParseTransport(tr.String())
		if got != tr || !ok {
			t.Errorf("ParseTransport(%q) = %v, %v", tr, got, ok)
		}
	}
	for _, name := range []string{"HTTP_SSE", "unsupported", " http_sse", "x"} {
		if got, ok := ParseTransport(name); ok || got != TransportUnsupported {
			t.Errorf("ParseTransport(%q) = %v, %v", name, got, ok)
		}
	}
	if s := Transport(200).String(); s != "invalid" {
		t.Errorf("Transport(200) = %q", s)
	}
}

func TestTransportsServe(t *testing.T) {
	v2 := TransportsOf(ResponsesWebSocketsV2)
	both := TransportsOf(HTTPSSE, ResponsesWebSockets)
	cases := []struct {
		set  Transports
		want []Transport // served
	}{
		{0, []Transport{TransportAny, HTTPSSE}},
		{v2, []Transport{TransportAny, HTTPSSE, ResponsesWebSocketsV2}},
		{both, []Transport{TransportAny, HTTPSSE, ResponsesWebSockets}},
	}
	all := []Transport{TransportAny, HTTPSSE, ResponsesWebSockets, ResponsesWebSocketsV2, TransportUnsupported, 77, 255}
	for _, c := range cases {
		for _, tr := range all {
			if got, want := c.set.Serve(tr), slices.Contains(c.want, tr); got != want {
				t.Errorf("%v.Serve(%v) = %v", c.set.List(), tr, got)
			}
		}
	}
	if v2.Intersects(both) || !both.Intersects(TransportsOf(HTTPSSE, ResponsesWebSocketsV2)) {
		t.Error("Intersects")
	}
	if TransportsOf(TransportAny, TransportUnsupported, 99) != 0 {
		t.Error("a transport that nothing offers became a member")
	}
}

func TestStateAndStatusNames(t *testing.T) {
	for _, s := range []State{Active, Draining, Paused, Disabled} {
		if got, ok := ParseState(s.String()); got != s || !ok {
			t.Errorf("ParseState(%q) = %v, %v", s, got, ok)
		}
	}
	if _, ok := ParseState("Active"); ok {
		t.Error("state names are lower case")
	}
	for _, s := range []Status{StatusActive, StatusError, StatusDisabled, StatusUnknown} {
		if got := ParseStatus(s.String()); got != s {
			t.Errorf("ParseStatus(%q) = %v", s, got)
		}
	}
	for _, name := range []string{"", "Active", "paused", "inactive"} {
		if got := ParseStatus(name); got != StatusUnknown {
			t.Errorf("ParseStatus(%q) = %v", name, got)
		}
	}
}
