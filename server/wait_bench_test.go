package server

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

// BenchmarkGrantAtClient is the time from the sending of a report that frees a slot to the waiting client's answer.
func BenchmarkGrantAtClient(b *testing.B) {
	w := newWorld(b, accounts(1, 1), Options{})
	token := w.lease(b)
	times := make([]time.Duration, 0, b.N)
	for range b.N {
		b.StopTimer()
		served := make(chan string, 1)
		go func() {
			r, err := w.scheduler.Select(context.Background(), &usherv1.SelectRequest{Wait: durationpb.New(time.Minute)})
			if err != nil {
				b.Error(err)
			}
			served <- r.GetSelection().GetLeaseToken()
		}()
		for w.waiting(b) == 0 {
			runtime.Gosched()
		}
		b.StartTimer()
		began := time.Now()
		go func() {
			if _, err := w.scheduler.Report(context.Background(), report(about(token, succeeded()))); err != nil {
				b.Error(err)
			}
		}()
		next := <-served
		times = append(times, time.Since(began))
		token = next
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}
