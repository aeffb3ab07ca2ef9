package redisstore

import (
	"context"
	"time"
)

// ShareStats puts what this replica has learned, and gives what the others have.
func (s *Store) ShareStats(ctx context.Context, own []byte, ttl time.Duration) ([][]byte, error) {
	r, err := s.call(ctx, s.scripts.share, func(_ *table, args []string) []string {
		return append(args, string(own), life(ttl))
	})
	if err != nil {
		return nil, err
	}
	var others [][]byte
	for r.more() {
		others = append(others, []byte(r.text()))
	}
	return others, r.failure(ctx)
}
