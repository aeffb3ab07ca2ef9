package core

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// A token is a lease's name with what a successor needs to take a report for
// it, so that no replica has to look it up: version, id, time of the grant,
// account, group, tenant and the model as it was asked for, and a tag over all
// of it. The tag is GMAC under the store's secret (NIST SP 800-38D): a lease id
// is used once, and what is sealed with it never changes (an upstream model
// would, with the mapping), so its last 12 bytes serve as the nonce.
const (
	tokenVersion = 1
	tokenHead    = 1 + 16 + 8
	tokenTag     = 16
	// maxTokenField bounds account, group, tenant and model, so that a token stays below 1 KiB.
	maxTokenField = 180
)

var tokenText = base64.RawURLEncoding.Strict()

// ticket is what a token says.
type ticket struct {
	ID                            LeaseID
	GrantedAt                     time.Time
	Account, Group, Tenant, Model string
}

// mint makes and reads tokens. It is safe for concurrent use.
type mint struct {
	// keys are the newest first, which seals; all open.
	keys    atomic.Pointer[[]cipher.AEAD]
	buffers sync.Pool
}

// keysMost bounds how many keys stay good: there is more than one only where a store was first reached after the start.
const keysMost = 4

type tokenBuffer struct{ raw, text []byte }

func newMint(secret []byte) (*mint, error) {
	m := new(mint)
	m.buffers.New = func() any { return new(tokenBuffer) }
	m.keys.Store(&[]cipher.AEAD{})
	err := m.use(secret)
	return m, err
}

// use has a key seal from now on; those before it go on to open. Calls must not overlap.
func (m *mint) use(secret []byte) error {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return &Error{Kind: KindInternal, Text: "the store's secret is no AES key", Err: err}
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return &Error{Kind: KindInternal, Text: "no GCM", Err: err}
	}
	keys := append([]cipher.AEAD{aead}, *m.keys.Load()...)
	keys = keys[:min(len(keys), keysMost)]
	m.keys.Store(&keys)
	return nil
}

// seal gives the token of a ticket. The same ticket gives the same token.
func (m *mint) seal(t *ticket) string {
	b := m.buffers.Get().(*tokenBuffer)
	defer m.buffers.Put(b)
	raw := b.raw[:0]
	raw = append(raw, tokenVersion)
	raw = append(raw, t.ID[:]...)
	raw = binary.BigEndian.AppendUint64(raw, uint64(t.GrantedAt.UnixNano()))
	for _, field := range [...]string{t.Account, t.Group, t.Tenant, t.Model} {
		field = field[:min(len(field), maxTokenField)]
		raw = append(raw, byte(len(field)))
		raw = append(raw, field...)
	}
	raw = (*m.keys.Load())[0].Seal(raw, raw[5:17], nil, raw)
	b.raw = raw
	b.text = tokenText.AppendEncode(b.text[:0], raw)
	return string(b.text)
}

// open reads a token; false for one that was not sealed with the same secret.
func (m *mint) open(token string) (ticket, bool) {
	b := m.buffers.Get().(*tokenBuffer)
	defer m.buffers.Put(b)
	b.text = append(b.text[:0], token...)
	raw, err := tokenText.AppendDecode(b.raw[:0], b.text)
	b.raw = raw
	// Decoding skips line breaks: only the one spelling is a token.
	if err != nil || tokenText.EncodedLen(len(raw)) != len(token) || len(raw) < tokenHead+4+tokenTag || raw[0] != tokenVersion {
		return ticket{}, false
	}
	body := raw[:len(raw)-tokenTag]
	genuine := false
	for _, key := range *m.keys.Load() {
		if _, err := key.Open(nil, raw[5:17], raw[len(body):], body); err == nil {
			genuine = true
			break
		}
	}
	if !genuine {
		return ticket{}, false
	}
	t := ticket{GrantedAt: time.Unix(0, int64(binary.BigEndian.Uint64(body[17:])))}
	copy(t.ID[:], body[1:])
	rest := string(body[tokenHead:])
	for _, field := range [...]*string{&t.Account, &t.Group, &t.Tenant, &t.Model} {
		if rest == "" || len(rest) <= int(rest[0]) {
			return ticket{}, false
		}
		end := 1 + int(rest[0])
		*field, rest = rest[1:end], rest[end:]
	}
	return t, rest == ""
}
