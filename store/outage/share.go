package outage

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// part gives one member's part of n things that are shared out: ⌊n/R⌋, and one more for n mod R of the members,
// chosen for each account by rendezvous hashing (Thaler and Ravishankar, 1998), so that all replicas choose alike and no
// replica is always the one that gets more. A member that is not listed is one more.
func part(n int, account, self string, members []string) int {
	if n <= 0 {
		return 0
	}
	if !slices.Contains(members, self) {
		members = append(slices.Clone(members), self)
	}
	share, rest := n/len(members), n%len(members)
	if rest == 0 {
		return share
	}
	own, before := weight(account, self), 0
	for _, m := range members {
		if w := weight(account, m); cmp.Or(cmp.Compare(w, own), cmp.Compare(m, self)) > 0 {
			before++
		}
	}
	if before < rest {
		share++
	}
	return share
}

func weight(account, member string) uint64 {
	h := fnv.New64a()
	// A hash never fails to write.
	_, _ = h.Write([]byte(account))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(member))
	x := h.Sum64() // FNV alone mixes its last bytes little
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
