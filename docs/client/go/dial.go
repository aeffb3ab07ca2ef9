// Package gateway is an example for gateway authors: the whole life of a request
// with usher beside it, its retries, and what to do when usher is away.
// It is made to be copied and changed; docs/client.md tells the rules behind it.
package gateway

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Dial opens the one channel that all calls of the process share. It does not wait for
// usher: calls fail with UNAVAILABLE until it is there, and the channel comes back by itself.
// The address is host:port or unix:/path/to/socket.
func Dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address,
		// Usher is on this machine; over a network use TLS instead.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// A dead peer is noticed within 13 s, also between calls.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true,
		}),
		// By default gRPC pauses up to 2 min between two attempts to connect.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}),
	)
}
