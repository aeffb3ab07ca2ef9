package redisstore

import (
	"crypto/rand"
	"encoding/hex"
)

// secretSize is the length of the key that tokens are signed with.
const secretSize = 32

func drawSecret() []byte {
	secret := make([]byte, secretSize)
	rand.Read(secret) // never fails: see crypto/rand
	return secret
}

// drawName draws a name that nobody else has, of 16 characters: a replica's or an epoch's.
func drawName() string { return hex.EncodeToString(drawSecret()[:8]) }
