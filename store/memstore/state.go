package memstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/secret"
)

// The state of a store as bytes: magic and version; the time at which it was saved, by the wall clock; the secret;
// the caller's section; leases, marks, bindings, substitutes and cooldowns, each list item led by a 1 and the list
// ended by a 0; the accounts that numbers in it name; and SHA-256 of all before. Ends are
// told as what was left then, so that they do not stand on the clock that a process starts with.
const (
	stateMagic   = "usher state\n"
	stateVersion = 1
	stateHead    = len(stateMagic) + 2
)

var (
	// ErrDamaged means: the bytes are not a whole, unchanged state.
	ErrDamaged = errors.New("the state is damaged")
	// ErrNewer means: the state was written by a later version.
	ErrNewer = errors.New("the state was written by a later version")
)

// image is a state that has been read, before anything of it counts.
type image struct {
	saved     int64 // wall clock, nanoseconds
	secret    []byte
	section   []byte
	leases    []leaseImage
	marks     []markImage
	bindings  []bindingImage
	stand     []bindingImage
	cooldowns []cooldownImage
	accounts  []string
}

type leaseImage struct {
	lease   // id, request, decision, owner, group, model, ttl, handed, index, flags and layer are set
	account uint64
	tenant  string
	granted int64 // wall clock, nanoseconds
	left    int64
}

type markImage struct {
	mark    // key, flags, why and request are set
	account uint64
	known   bool // the account is
	left    int64
}

type bindingImage struct {
	key     core.BindingKey
	account uint64
	left    int64
}

type cooldownImage struct {
	account, model string
	reason         decide.Reason
	left           int64
}

type encoder struct{ b []byte }

func (e *encoder) head() {
	e.b = append(e.b, stateMagic...)
	e.b = binary.BigEndian.AppendUint16(e.b, stateVersion)
}

func (e *encoder) raw(b []byte)      { e.b = append(e.b, b...) }
func (e *encoder) byte(b byte)       { e.b = append(e.b, b) }
func (e *encoder) unsigned(n uint64) { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) signed(n int64)    { e.b = binary.AppendVarint(e.b, n) }

func (e *encoder) text(s string) {
	e.unsigned(uint64(len(s)))
	e.b = append(e.b, s...)
}

// seal appends the sum.
func (e *encoder) seal(from int) {
	sum := sha256.Sum256(e.b[from:])
	e.b = append(e.b, sum[:]...)
}

// decoder reads what is left; after the first fault it gives zeros.
type decoder struct {
	b     []byte
	fault error
	texts map[string]string // each text once
}

func (d *decoder) fail(format string, args ...any) {
	if d.fault == nil {
		d.fault = fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
		d.b = nil
	}
}

func (d *decoder) raw(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail("it ends early")
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) key() (k [16]byte) {
	copy(k[:], d.raw(16))
	return k
}

func (d *decoder) byte() byte {
	if b := d.raw(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) flag() bool {
	b := d.byte()
	if b > 1 {
		d.fail("a flag of %d", b)
	}
	return b == 1
}

func (d *decoder) unsigned() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("a number is broken")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("a number is broken")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// upTo reads a number that is at most so large.
func (d *decoder) upTo(most uint64) uint64 {
	v := d.unsigned()
	if v > most {
		d.fail("%d is more than %d", v, most)
		return 0
	}
	return v
}

func (d *decoder) bytes() []byte { return d.raw(d.unsigned()) }

func (d *decoder) text() string {
	b := d.bytes()
	if s, ok := d.texts[string(b)]; ok {
		return s
	}
	s := string(b)
	d.texts[s] = s
	return s
}

// decodeState reads a state whole, or fails.
func decodeState(data []byte) (*image, error) {
	if len(data) < stateHead || !bytes.HasPrefix(data, []byte(stateMagic)) {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	if version := binary.BigEndian.Uint16(data[len(stateMagic):]); version != stateVersion {
		if version > stateVersion {
			return nil, fmt.Errorf("%w: %d, this is %d", ErrNewer, version, stateVersion)
		}
		return nil, fmt.Errorf("%w: version %d", ErrDamaged, version)
	}
	end := len(data) - sha256.Size
	if end < stateHead {
		return nil, fmt.Errorf("%w: it ends early", ErrDamaged)
	}
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], data[end:]) {
		return nil, fmt.Errorf("%w: its sum does not agree", ErrDamaged)
	}
	d := &decoder{b: data[stateHead:end], texts: make(map[string]string)}
	img := d.image()
	if d.fault == nil && len(d.b) > 0 {
		d.fail("%d bytes too many", len(d.b))
	}
	return img, d.fault
}

func (d *decoder) image() *image {
	img := &image{saved: int64(d.upTo(math.MaxInt64))}
	if img.secret = bytes.Clone(d.bytes()); len(img.secret) != 0 && len(img.secret) != secret.Size {
		d.fail("a secret of %d bytes", len(img.secret))
	}
	img.section = bytes.Clone(d.bytes())
	img.leases = list(d, (*decoder).lease)
	img.marks = list(d, (*decoder).mark)
	img.bindings = list(d, (*decoder).binding)
	img.stand = list(d, (*decoder).binding)
	img.cooldowns = list(d, (*decoder).cooldown)
	img.accounts = list(d, (*decoder).text)
	img.check(d)
	return img
}

// list reads items until the list's end.
func list[T any](d *decoder, item func(*decoder) T) (all []T) {
	for d.flag() {
		all = append(all, item(d))
	}
	return all
}

// check holds that every number names an account.
func (img *image) check(d *decoder) {
	n := uint64(len(img.accounts))
	known := true
	for i := range img.leases {
		known = known && img.leases[i].account < n
	}
	for i := range img.marks {
		known = known && (!img.marks[i].known || img.marks[i].account < n)
	}
	for _, bindings := range [][]bindingImage{img.bindings, img.stand} {
		for i := range bindings {
			known = known && bindings[i].account < n
		}
	}
	if !known {
		d.fail("an account is not named")
	}
}
