package core_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"usher.internal/core"
	"usher.internal/core/pool"
	"usher.internal/store/memstore"
)

// TestAlteredTokens: no changed, cut or lengthened token frees, renews or teaches anything.
func TestAlteredTokens(t *testing.T) {
	h := newHouse(t, plain(1, 3))
	token := h.take(mainRequest).Token
	sibling := h.take(mainRequest).Token
	var altered []string
	for i := range len(token) {
		altered = append(altered, token[:i]+"\n"+token[i:], token[:i]+"="+token[i:])
		if i > 0 {
			altered = append(altered, token[:i], token[i:], token[:i]+sibling[i:])
		}
		for bit := range 8 {
			changed := []byte(token)
			changed[i] ^= 1 << bit
			altered = append(altered, string(changed))
		}
	}
	altered = append(altered, token+"\n", token+"A", token+token, " "+token, "\x00", strings.Repeat("A", 10<<20))
	altered = slices.DeleteFunc(altered, func(text string) bool { return text == token || text == sibling })
	for _, text := range altered {
		for _, kind := range []core.EventKind{core.EventFirstToken, core.EventFinished, core.EventUnused, core.EventSwitched} {
			r := h.report(core.Event{Kind: kind, Token: text, Outcome: core.OutcomeAccountError, ResponseID: "resp"})
			if r != (core.EventResult{Status: core.EventTokenInvalid}) {
				t.Fatalf("%.80q: %+v", text, r)
			}
		}
	}
	renewed, err := h.Renew(context.Background(), altered[:100], 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range renewed {
		if r.Status != core.EventTokenInvalid {
			t.Fatalf("%q: renewal %+v", altered[i], r)
		}
	}
	h.inUse(2)
	snap := h.state()
	if snap.Totals.StatAccounts != 0 || snap.Totals.Switches != 0 || snap.Usage.Bindings != 0 {
		t.Errorf("something counted: %+v", snap)
	}
	h.release(token, sibling)
}

// TestTokenOfAnotherStore: another secret, another token.
func TestTokenOfAnotherStore(t *testing.T) {
	other, err := memstore.New(memstore.Options{Secret: []byte(strings.Repeat("x", 32))})
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, plain(1, 1))
	stranger := newHouse(t, plain(1, 1), over(func(core.Store) core.Store { return other }))
	h.reports(core.Event{Kind: core.EventUnused, Token: stranger.take(mainRequest).Token}, core.EventTokenInvalid)
	stranger.reports(core.Event{Kind: core.EventUnused, Token: h.take(mainRequest).Token}, core.EventTokenInvalid)
	h.inUse(1)
	stranger.inUse(1)
}

// TestTokenLength: below 1 KiB with every id at its longest, and it carries them whole.
func TestTokenLength(t *testing.T) {
	long := func(c string) string { return strings.Repeat(c, 128) }
	accounts := []pool.Account{{ID: long("a"), Groups: []string{long("g")}, MaxConcurrency: 1}}
	accounts[0].Models = pool.NewModels(map[string]string{long("m"): strings.Repeat("u", 4096)})
	h := newHouse(t, accounts)
	req := core.Request{
		Group: long("g"), Model: long("m"), Tenant: long("t"), RequestID: long("r"),
		Owner: core.Owner{Name: long("o"), Incarnation: long("i")}, SessionHash: long("s"),
	}
	token := h.take(req).Token
	if len(token) >= 1024 {
		t.Errorf("a token of %d bytes", len(token))
	}
	event := finished(token, core.OutcomeSuccess)
	event.ResponseID = "resp"
	h.reports(event, core.EventApplied)
	req.RequestID, req.SessionHash, req.PreviousResponseID = "", "", "resp"
	h.livesOn(req, long("a"))
}
