package redisstore

import (
	"context"
	"encoding/hex"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"usher.internal/core"
)

// resubscribe is the pause before another attempt to listen.
const resubscribe = 100 * time.Millisecond

// Signals delivers what changed until ctx ends or the store is closed.
func (s *Store) Signals(ctx context.Context) (<-chan core.Signal, error) {
	return s.hub.Subscribe(ctx)
}

// Reached is closed once the server was reached and its signals are heard.
func (s *Store) Reached() <-chan struct{} { return s.listening }

// Sessions changes whenever signals are heard again after the connection for them broke: by then another server may be the
// master, which lacks what the last one did not pass on. It does not block.
func (s *Store) Sessions() uint64 { return s.sessions.Load() }

// listen passes on what the server publishes, until ctx ends.
func (s *Store) listen(ctx context.Context) {
	first := sync.OnceFunc(func() { close(s.listening) })
	for deaf := false; ctx.Err() == nil; {
		if client, err := s.conn.get(); err == nil {
			var heard atomic.Bool
			hooked := rueidis.WithOnSubscriptionHook(ctx, func(rueidis.PubSubSubscription) {
				heard.Store(true)
				s.sessions.Add(1)
				s.lost.again()
				first()
			})
			// It returns when the connection breaks; what is published meanwhile is lost, which is why receivers look by themselves too.
			err = client.Receive(hooked, s.subscription(client), func(m rueidis.PubSubMessage) { s.tell(ctx, m.Message) })
			forbidden := forbids(err)
			if forbidden && !deaf {
				s.logger.Warn("redis lets this replica hear no signals; who waits here is woken late", "error", err)
			}
			if deaf = forbidden; !deaf && err != nil && !heard.Load() && client.Do(ctx, client.B().Ping().Build()).Error() == nil {
				s.conn.wear(client)
			}
		}
		if !delay(ctx, resubscribe) {
			return
		}
	}
}

func (s *Store) subscription(client rueidis.Client) rueidis.Completed {
	channel := s.prefix[0] + "wake"
	if s.opts.Server.Cluster {
		return client.B().Ssubscribe().Channel(channel).Build()
	}
	return client.B().Subscribe().Channel(channel).Build()
}

// tell passes one message on: f or e and a place, c or d and an account, r and a request id's key.
func (s *Store) tell(ctx context.Context, message string) {
	if message == "" {
		return
	}
	signal := core.Signal{Account: message[1:]}
	switch message[0] {
	case 'f', 'e':
		place, err := strconv.ParseInt(message[1:], 10, 32)
		if err != nil {
			return
		}
		if signal.Account, err = s.accountAt(ctx, s.table.Load(), place); err != nil {
			return
		}
		signal.Kind = core.SignalFreed
		if message[0] == 'e' {
			signal.Kind = core.SignalEnded
		}
	case 'c':
		signal.Kind = core.SignalCooldown
	case 'd':
		signal.Kind = core.SignalDirectory
	case 'r':
		signal.Kind, signal.Account = core.SignalReleased, ""
		if n, err := hex.Decode(signal.Request[:], []byte(message[1:min(len(message), 33)])); err != nil || n != len(signal.Request) {
			return
		}
	default:
		return
	}
	s.hub.Publish(signal)
}

// pause waits; false when ctx ended.
func (s *Store) pause(ctx context.Context, d time.Duration) bool {
	fired, stop := s.clock.After(d)
	defer stop()
	select {
	case <-ctx.Done():
		return false
	case <-fired:
		return true
	}
}
