// Package secret draws what nobody may guess: it is the one place in core and the stores that does.
package secret

import "crypto/rand"

// Size is the length of the key that tokens are signed with.
const Size = 32

// Draw gives a new key.
func Draw() []byte {
	key := make([]byte, Size)
	rand.Read(key) // never fails: see crypto/rand
	return key
}
