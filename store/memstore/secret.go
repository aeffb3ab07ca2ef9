package memstore

import "crypto/rand"

// secretSize is the length of the key that tokens are signed with.
const secretSize = 32

func drawSecret() []byte {
	secret := make([]byte, secretSize)
	rand.Read(secret) // never fails: see crypto/rand
	return secret
}
