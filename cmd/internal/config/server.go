package config

import (
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// Server is where and how usher serves.
type Server struct {
	// Where to listen: HOST:PORT (port 0 is any free one) or unix:///PATH; at least one. Default [127.0.0.1:7411].
	Listen []string `yaml:"listen"`
	// Allow addresses that other machines reach, without TLS. Default false.
	Insecure bool `yaml:"insecure"`
	// How long requests and streams in flight may take to end at a stop, up to 24h. Default 10s; 0s cuts them off.
	DrainTimeout time.Duration `yaml:"drain_timeout" min:"0s" max:"24h"`
	// A lease's lifetime without renewal when the request names none, from 1s to 24h. Default 15m.
	LeaseTTL time.Duration `yaml:"lease_ttl" min:"1s" max:"24h"`
	// A lease's longest life from its grant, however often it is renewed: 0s or from 1s to 720h. Default 0s, which is no bound.
	MaxLeaseAge time.Duration `yaml:"max_lease_age" min:"0s" max:"720h"`
	// How long an ended lease is remembered, so that a repeated report counts once, from 1s to 24h. Default 5m.
	MarkTTL time.Duration `yaml:"mark_ttl" min:"1s" max:"24h"`
	// The memory for past decisions, in bytes. Default 8388608; 0 keeps none.
	HistoryBytes int `yaml:"history_bytes" min:"0" max:"17179869184"`
	// What is told to clients that come while usher stops: when to ask again. Default 1s; 0s means the default.
	RetryAfter time.Duration `yaml:"retry_after" min:"0s" max:"1h"`
	// What usher writes to standard error.
	Log Log `yaml:"log"`
	// Pings that keep idle connections open.
	Keepalive Keepalive `yaml:"keepalive"`
	// Signs of life of gateways that keep a report stream.
	Heartbeat Heartbeat `yaml:"heartbeat"`
	// Bounds on what clients may have open.
	Limits Limits `yaml:"limits"`
}

// Log is what usher writes to standard error.
type Log struct {
	// The least severe lines that are written. Reloaded without a restart. Default info.
	Level string `yaml:"level" allowed:"debug info warn error"`
	// The form of lines; auto is console on a terminal and json elsewhere. Default auto.
	Format string `yaml:"format" allowed:"auto console json"`
}

// Keepalive is about pings on idle connections.
type Keepalive struct {
	// How often a client may ping; a faster one is cut off. Default 4s; 0s means the default.
	MinPingInterval time.Duration `yaml:"min_ping_interval" min:"0s" max:"1h"`
}

// Heartbeat is what gateways with a report stream keep to. It is told to them when they open one.
type Heartbeat struct {
	// How often a gateway should send one, from 100ms to 1h. Default 3s.
	Interval time.Duration `yaml:"interval" min:"100ms" max:"1h"`
	// The silence after which a gateway counts as gone though its stream stands, above interval and up to 24h. Default 10s.
	Timeout time.Duration `yaml:"timeout" min:"200ms" max:"24h"`
	// How long the leases of a gateway that is gone stand for it to come back, from 100ms to 24h. Default 10s.
	Grace time.Duration `yaml:"grace" min:"100ms" max:"24h"`
}

// Memory is what usher keeps in its own memory.
type Memory struct {
	// A file, by its absolute path, in which leases, bindings, cooldowns and what was learned outlive usher, written each second when
	// something changed and at a stop. Its folder must exist; it holds the key that tokens are signed with. Default "", which is no file.
	StateFile string `yaml:"state_file" max:"4096"`
}

// Limits bounds what clients may have open.
type Limits struct {
	// The most metrics streams at a time. Default 1000; 0 means the default.
	MetricsStreams int `yaml:"metrics_streams" min:"0" max:"1000000"`
}

// Default gives the configuration of an empty file, without accounts.
func Default() *Config {
	return &Config{
		Policy: policyOf(decide.Recommended()),
		Server: Server{
			Listen:       []string{"127.0.0.1:7411"},
			DrainTimeout: 10 * time.Second,
			LeaseTTL:     15 * time.Minute,
			MarkTTL:      5 * time.Minute,
			HistoryBytes: 8 << 20,
			RetryAfter:   time.Second,
			Log:          Log{Level: "info", Format: "auto"},
			Keepalive:    Keepalive{MinPingInterval: 4 * time.Second},
			Heartbeat: Heartbeat{
				Interval: core.DefaultHeartbeatInterval, Timeout: core.DefaultHeartbeatTimeout, Grace: core.DefaultOwnerGrace,
			},
			Limits: Limits{MetricsStreams: 1000},
		},
		Redis: defaultRedis(),
	}
}

// setDefaults fills an account before its fields are read.
func (a *Account) setDefaults() {
	a.State, a.Status = "active", "active"
	a.Schedulable, a.AutoPauseOnExpired = true, true
}
