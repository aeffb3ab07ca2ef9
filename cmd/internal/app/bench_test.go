package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	usherv1 "usher.internal/gen/usher/v1"
	"usher.internal/store/storetest/redistest"
)

// callers is how many gateways' requests are under way at once.
const callers = 64

// BenchmarkStores is a Select and its Report through gRPC, over TCP in one process, of an usher on the memory store and of one on
// Redis, with 100 accounts and conversations that are bound (session) or not (balance).
func BenchmarkStores(b *testing.B) {
	if !redistest.Available() {
		b.Fatal("a redis-server is needed")
	}
	redis := redistest.Single(b)
	for _, layer := range []string{"session", "balance"} {
		b.Run(layer+"/memory", func(b *testing.B) { benchStore(b, manyAccounts, layer == "session") })
		onRedis := "redis: {urls: ['unix://" + redis.Socket() + "'], namespace: " + layer + ", budget: 2s}\n"
		b.Run(layer+"/redis", func(b *testing.B) { benchStore(b, manyAccounts+onRedis, layer == "session") })
	}
}

var manyAccounts = func() string {
	var text strings.Builder
	text.WriteString("server: {listen: ['127.0.0.1:0'], drain_timeout: 300ms}\naccounts:\n")
	for i := range 100 {
		fmt.Fprintf(&text, "- {id: a%d, priority: %d, max_concurrency: 64}\n", i, i%5)
	}
	return text.String()
}()

func benchStore(b *testing.B, text string, session bool) {
	client := usherv1.NewSchedulerServiceClient(dial(b, started(b, Options{Config: parsed(b, text)}).Addresses()[0]))
	work := make(chan int, callers)
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for caller := range callers {
		all.Go(func() {
			req := new(usherv1.SelectRequest)
			if session {
				req.SessionHash = fmt.Sprintf("session-%d", caller)
			}
			for range work {
				if err := pair(b.Context(), client, req); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range b.N {
		work <- i
	}
	close(work)
	all.Wait()
	b.StopTimer()
}

func pair(ctx context.Context, client usherv1.SchedulerServiceClient, req *usherv1.SelectRequest) error {
	answer, err := client.Select(ctx, req)
	if err != nil {
		return err
	}
	token := answer.GetSelection().GetLeaseToken()
	if token == "" {
		return errors.New("nothing selected: " + answer.String())
	}
	event := &usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: token},
		Event:   &usherv1.ReportEvent_Finished{Finished: &usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_SUCCESS}},
	}
	_, err = client.Report(ctx, &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{event}})
	return err
}
