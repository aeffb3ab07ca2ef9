// Package demo is a made-up pool, and a little traffic on it, to look at.
package demo

import (
	_ "embed"
	"time"

	"usher.internal/cmd/internal/config"
)

//go:embed demo.yaml
var file []byte

// limited is the account that is rate-limited at the start, and for how long.
const (
	limited    = "anthropic-seat-1"
	limitedFor = 90 * time.Second
)

// Config is the demo's configuration.
func Config(now time.Time) (*config.Config, error) {
	c, err := config.Parse("demo.yaml", file)
	if err != nil {
		return nil, err
	}
	for i := range c.Accounts {
		if c.Accounts[i].ID == limited {
			c.Accounts[i].RateLimitedUntil = now.Add(limitedFor)
		}
	}
	return c, nil
}
