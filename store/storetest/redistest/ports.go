package redistest

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync/atomic"
)

// The ports lie below those that systems give to outgoing connections: while a server is down, none can take its place.
const (
	firstPort = 10000
	portCount = 20000
)

// handedOut counts the ports that this process has tried, so that it gives none twice.
var handedOut atomic.Int64

// freePort gives a port on the loopback that nobody listens on. Processes begin far from each other.
func freePort() (int, error) {
	var listen net.ListenConfig
	for range portCount {
		port := firstPort + int((int64(os.Getpid())*257+handedOut.Add(1))%portCount)
		l, err := listen.Listen(context.Background(), "tcp", address(port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("no free port")
}

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
