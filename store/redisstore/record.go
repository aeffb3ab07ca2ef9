package redisstore

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/secret"
)

// key gives an id as it is part of a key or a record.
func key(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// keySize is how long that is.
const keySize = 22

// appendKey writes an id as key gives it.
func appendKey[ID ~[16]byte](b []byte, id ID) []byte {
	raw := [16]byte(id)
	return base64.RawURLEncoding.AppendEncode(b, raw[:])
}

// appendRequestKey writes a request id as it is part of a key or a record, "-" for none.
func appendRequestKey(b []byte, id core.RequestKey) []byte {
	if id == (core.RequestKey{}) {
		return append(b, '-')
	}
	return hex.AppendEncode(b, id[:])
}

var errRecord = errors.New("a lease's record cannot be read")

func idOf(text string) (id [16]byte, err error) {
	if len(text) != base64.RawURLEncoding.EncodedLen(len(id)) {
		return id, errRecord
	}
	if n, err := base64.RawURLEncoding.Strict().Decode(id[:], []byte(text)); err != nil || n != len(id) {
		return id, errRecord
	}
	return id, nil
}

// rest gives what a record keeps that no script reads: the decision, the group and the model.
func rest(decision core.DecisionID, group, model string) string {
	return string(appendRest(make([]byte, 0, 12+binary.MaxVarintLen64+len(group)+len(model)), decision, group, model))
}

func appendRest(b []byte, decision core.DecisionID, group, model string) []byte {
	b = binary.BigEndian.AppendUint32(b, decision.Replica)
	b = binary.BigEndian.AppendUint64(b, decision.Seq)
	b = binary.AppendUvarint(b, uint64(len(group)))
	return append(append(b, group...), model...)
}

// record is a lease as the server keeps it.
type record struct {
	lease core.Lease
	place int64
	layer decide.Layer
	// keeper is the replica that looks after it.
	keeper string
}

// layers are decide's by the number that scripts use.
var layers = [...]decide.Layer{decide.LayerLoadBalance, decide.LayerResponse, decide.LayerSession}

// Where what a record begins with is: place, layer, and granted, expires, life and the keeper, as wide as a time each.
const (
	timeSize     = 16
	layerAt      = 3
	grantedAt    = 4
	expiresAt    = grantedAt + timeSize
	keeperAt     = expiresAt + 2*timeSize
	recordFixed  = keeperAt + timeSize
	recordFields = 6 // that follow
)

// readRecord reads a record; the lease's account is not told by it.
func readRecord(id, text string) (r record, err error) {
	if len(text) <= recordFixed || text[recordFixed] != ' ' {
		return r, errRecord
	}
	var fields [recordFields]string
	rest := text[recordFixed+1:]
	for i := range fields {
		var ok bool
		if fields[i], rest, ok = strings.Cut(rest, " "); !ok {
			return r, errRecord
		}
	}
	number := func(field string) (n int64) {
		n, wrong := strconv.ParseInt(field, 10, 64)
		if wrong != nil {
			err = errRecord
		}
		return n
	}
	r.place = readPlace(text)
	layer := int(text[layerAt]) - '0'
	tenant, owner, incarnation := int(number(fields[3])), int(number(fields[4])), int(number(fields[5]))
	l := &r.lease
	l.GrantedAt, l.ExpiresAt = moment(number(text[grantedAt:expiresAt])), moment(number(text[expiresAt:expiresAt+timeSize]))
	if err != nil || layer < 0 || layer >= len(layers) || !fit(len(rest)-12, tenant, owner, incarnation) {
		return r, errRecord
	}
	r.layer, r.keeper = layers[layer], text[keeperAt:recordFixed]
	if l.ID, err = idOf(id); err != nil {
		return r, err
	}
	l.Tenant, rest = rest[:tenant], rest[tenant:]
	l.Owner.Name, rest = rest[:owner], rest[owner:]
	l.Owner.Incarnation, rest = rest[:incarnation], rest[incarnation:]
	l.Decision.Replica = binary.BigEndian.Uint32([]byte(rest[:4]))
	l.Decision.Seq = binary.BigEndian.Uint64([]byte(rest[4:12]))
	names := rest[12:]
	group, n := binary.Uvarint([]byte(names))
	if n <= 0 || group > uint64(len(names)-n) {
		return r, errRecord
	}
	l.Group, l.Model = names[n:n+int(group)], names[n+int(group):]
	return r, nil
}

// fit tells that names of these lengths fit in so many bytes.
func fit(room int, lengths ...int) bool {
	for _, n := range lengths {
		if n < 0 || n > room {
			return false
		}
		room -= n
	}
	return room >= 0
}

// granted gives the lease of a take that was carried out at a time.
func granted(g *core.Grant, account string, at int64) core.Lease {
	now := moment(at)
	return core.Lease{
		ID: g.ID, Account: account, Owner: g.Owner, Tenant: g.Tenant, Group: g.Group, Model: g.Model, Decision: g.Decision,
		GrantedAt: now, ExpiresAt: now.Add(whole(g.TTL)),
	}
}

// whole gives a duration as the server counts it.
func whole(d time.Duration) time.Duration {
	return (d + time.Microsecond - 1).Truncate(time.Microsecond)
}

// drawName draws a name that nobody else has, of 16 characters: a replica's or an epoch's.
func drawName() string { return hex.EncodeToString(secret.Draw()[:8]) }
