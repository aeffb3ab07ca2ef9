package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// oldest is the first version of Redis whose scripts may go on writing, out of memory, once they have freed something.
const oldest = 7

// Fault is what makes a server unfit to be the store, or keeps that from being checked.
type Fault struct {
	Address string
	Text    string
}

// Faults looks at each server that is known: the one, the master that Sentinels name, or all nodes of a Cluster.
// An empty list is as it should be. Errors: *core.Error of KindStoreUnavailable when one cannot be reached, or the context's own.
func (s *Store) Faults(ctx context.Context) ([]Fault, error) {
	client, err := s.conn.get()
	if err != nil {
		return nil, outage(ctx, err)
	}
	nodes := client.Nodes()
	addresses := make([]string, 0, len(nodes))
	for address := range nodes { // order-free: sorted below
		addresses = append(addresses, address)
	}
	slices.Sort(addresses)
	var out []Fault
	for _, address := range addresses {
		texts, err := s.faultsOf(ctx, nodes[address])
		if err != nil {
			return nil, outage(ctx, err)
		}
		for _, text := range texts {
			out = append(out, Fault{Address: address, Text: text})
		}
	}
	return out, nil
}

func (s *Store) faultsOf(ctx context.Context, node rueidis.Client) ([]string, error) {
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	// Whoever may not read the configuration may still be told what is in force.
	info, err := node.Do(bounded, node.B().Info().Build()).ToString()
	if said, ok := rueidis.IsRedisErr(err); ok {
		return []string{fmt.Sprintf("its version and maxmemory-policy could not be checked: %s", said.Error())}, nil
	}
	if err != nil {
		return nil, err
	}
	return faultsIn(info), nil
}

// faultsIn reads what a server says of itself.
func faultsIn(info string) []string {
	var out []string
	version := infoField(info, "redis_version")
	major, _, _ := strings.Cut(version, ".")
	switch n, err := strconv.Atoi(major); {
	case err != nil:
		out = append(out, "its version could not be checked: INFO does not tell it")
	case n < oldest:
		out = append(out, fmt.Sprintf("its version is %s; needed is Redis %d.0 or later, or Valkey", version, oldest))
	}
	switch policy := infoField(info, "maxmemory_policy"); policy {
	case "noeviction":
	case "":
		out = append(out, "its maxmemory-policy could not be checked: INFO does not tell it")
	default:
		out = append(out, fmt.Sprintf("its maxmemory-policy is %s, under which it may throw away leases and bindings; needed is noeviction", policy))
	}
	return out
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Keeps says whether there are leases that this replica looks after: those that it granted or renewed last, and that end
// soon after it is gone. It looks at all leases, in steps. Errors: *core.Error of KindStoreUnavailable, or the context's own.
func (s *Store) Keeps(ctx context.Context) (bool, error) {
	for cursor := "0"; ; {
		r, err := s.call(ctx, s.scripts.keeps, func(_ *table, args []string) []string { return append(args, cursor) })
		if err != nil {
			return false, err
		}
		cursor = r.text()
		n := r.number()
		if err := r.failure(ctx); err != nil {
			return false, err
		}
		if n > 0 || cursor == "0" {
			return n > 0, nil
		}
	}
}
