package core

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

func testMint(tb testing.TB, secret byte) *mint {
	tb.Helper()
	m, err := newMint([]byte(strings.Repeat(string(rune(secret)), 32)))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func testTicket(n uint64) *ticket {
	t := &ticket{
		GrantedAt: time.Unix(1_700_000_000, 123456789),
		Account:   "account 1", Group: "main", Tenant: "acme", Model: "gpt-5",
	}
	binary.BigEndian.PutUint64(t.ID[8:], n)
	return t
}

// TestTokenCarriesTicket: what is sealed is what is opened, blanks and odd bytes included.
func TestTokenCarriesTicket(t *testing.T) {
	m := testMint(t, 'k')
	for i, want := range []*ticket{
		testTicket(1),
		{GrantedAt: time.Unix(0, 0)},
		{Account: "\x00", Group: "ü\xff", Tenant: strings.Repeat("t", maxTokenField), Model: " ", GrantedAt: time.Unix(-1, 5)},
	} {
		token := m.seal(want)
		if got, ok := m.open(token); !ok || got != *want {
			t.Errorf("ticket %d: opened %+v, %v", i, got, ok)
		}
		if again := m.seal(want); again != token {
			t.Errorf("ticket %d gives two tokens", i)
		}
		if _, ok := testMint(t, 'x').open(token); ok {
			t.Errorf("ticket %d opened with another secret", i)
		}
	}
}

// TestTokenIsBounded: nothing that core is given makes a token of 1 KiB.
func TestTokenIsBounded(t *testing.T) {
	m, long := testMint(t, 'k'), strings.Repeat("x", 10_000)
	token := m.seal(&ticket{GrantedAt: time.Unix(0, 0), Account: long, Group: long, Tenant: long, Model: long})
	if len(token) >= 1024 {
		t.Errorf("%d bytes", len(token))
	}
	if _, ok := m.open(token); !ok {
		t.Error("does not open")
	}
}

// TestMintNeedsAKey: a secret that is none is an error of the start, not of the first token.
func TestMintNeedsAKey(t *testing.T) {
	if _, err := newMint([]byte("short")); KindOf(err) != KindInternal {
		t.Errorf("error %v", err)
	}
}

// FuzzTokenOpen: the reader never crashes, and what it opens is the very text that was sealed.
func FuzzTokenOpen(f *testing.F) {
	m := testMint(f, 'k')
	sealed := map[string]ticket{}
	for n := range uint64(4) {
		t := testTicket(n)
		t.Model = strings.Repeat("m", int(n)*50)
		token := m.seal(t)
		sealed[token] = *t
		f.Add(token)
		f.Add(token[1:])
		f.Add(token[:len(token)-1])
		f.Add(token + "\r\n")
	}
	f.Add(testMint(f, 'x').seal(testTicket(1)))
	f.Add("")
	f.Add(strings.Repeat("A", 64))
	f.Add("====")
	f.Fuzz(func(t *testing.T, token string) {
		got, ok := m.open(token)
		want, known := sealed[token]
		switch {
		case ok != known:
			t.Fatalf("%q: opened %v, sealed %v", token, ok, known)
		case ok && got != want:
			t.Fatalf("%q: %+v, sealed %+v", token, got, want)
		case !ok && got != (ticket{}):
			t.Fatalf("%q: a refused token tells %+v", token, got)
		case ok && m.seal(&got) != token:
			t.Fatalf("%q is sealed otherwise", token)
		}
	})
}
