package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"usher.internal/cmd/internal/cli/loadgen"
	usherv1 "usher.internal/gen/usher/v1"
)

func owner(process string, start time.Time) *usherv1.Owner {
	return &usherv1.Owner{Name: "usher-load-" + process, Incarnation: strconv.FormatInt(start.UnixNano(), 36)}
}

// side is one of the two that are compared.
type side struct {
	conns  []*grpc.ClientConn
	driver func(context.Context, []*grpc.ClientConn) (loadgen.Driver, error)
}

func (s side) round(ctx context.Context, p loadgen.Plan) (loadgen.Round, error) {
	d, err := s.driver(ctx, s.conns)
	if err != nil {
		return loadgen.Round{}, err
	}
	return loadgen.Run(ctx, p, d)
}

func (s side) close() {
	for _, c := range s.conns {
		_ = c.Close()
	}
}

func (c *LoadCmd) connect(address string) ([]*grpc.ClientConn, error) {
	at := c.Client
	at.Address = address
	var conns []*grpc.ClientConn
	for range c.Connections {
		conn, err := at.dial()
		if err != nil {
			side{conns: conns}.close()
			return nil, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// measure does all rounds, usher and echo in turn.
func (c *LoadCmd) measure(ctx context.Context, std IO) (*loadResult, error) {
	work := c.work(std)
	conns, err := c.connect(c.Address)
	if err != nil {
		return nil, err
	}
	usher := side{conns: conns, driver: func(ctx context.Context, conns []*grpc.ClientConn) (loadgen.Driver, error) {
		if c.streamed() {
			return loadgen.OpenStreams(ctx, work, conns)
		}
		return &loadgen.Unary{Work: work, Conns: conns}, nil
	}}
	defer usher.close()
	sizes, answers, err := c.probe(ctx, conns[0], work)
	if err != nil {
		return nil, err
	}
	sides := []side{usher}
	if c.Echo {
		echo, stop, err := c.echoSide(ctx, std, work, answers)
		if err != nil {
			return nil, err
		}
		defer stop()
		sides = append(sides, echo)
	}
	rounds, err := c.rounds(ctx, sides)
	if err != nil {
		return nil, err
	}
	return c.result(sizes, rounds)
}

func (c *LoadCmd) echoSide(ctx context.Context, std IO, work loadgen.Work, answers []proto.Message) (side, func(), error) {
	child, err := startEcho(ctx, std, c.Address, answers...)
	if err != nil {
		return side{}, nil, err
	}
	conns, err := c.connect(child.address)
	if err != nil {
		return side{}, nil, errors.Join(err, child.stop())
	}
	work.SelectOnly = c.streamed()
	echo := side{conns: conns, driver: func(_ context.Context, conns []*grpc.ClientConn) (loadgen.Driver, error) {
		return &loadgen.Unary{Work: work, Conns: conns}, nil
	}}
	return echo, func() {
		echo.close()
		if err := child.stop(); err != nil {
			fmt.Fprintf(std.Err, "usher: echo server: %v\n", err)
		}
	}, nil
}

// warmUp is the share of a round's time for which each side runs unmeasured first.
const warmUp = 10

func (c *LoadCmd) rounds(ctx context.Context, sides []side) ([][]loadgen.Round, error) {
	p := c.plan()
	warm := p
	warm.Duration = min(p.Duration/warmUp+1, time.Second)
	for _, s := range sides {
		if _, err := s.round(ctx, warm); err != nil {
			return nil, err
		}
	}
	all := make([][]loadgen.Round, len(sides))
	for i := range c.Rounds {
		// The same arrivals for both sides, others in each round.
		p.Seed = c.Seed + uint64(i)
		for j, s := range sides {
			r, err := s.round(ctx, p)
			cut := ended(ctx)
			switch {
			case cut && (err == nil || len(all[0]) > 0):
				return complete(all, j, r), nil
			case err != nil:
				return nil, err
			}
			all[j] = append(all[j], r)
		}
	}
	return all, nil
}

// complete keeps whole rounds of both sides, since one that was cut short
// compares with nothing; without any, what there is.
func complete(all [][]loadgen.Round, j int, cut loadgen.Round) [][]loadgen.Round {
	if j == 0 && len(all[0]) == 0 {
		all[0] = append(all[0], cut)
		return all[:1]
	}
	if j == 0 {
		return all
	}
	n := len(all[j])
	if n == 0 {
		return all[:1]
	}
	all[0] = all[0][:n]
	return all
}

// messageSizes are in bytes, of one pair.
type messageSizes struct {
	SelectRequest  int `json:"select_request"`
	SelectResponse int `json:"select_response"`
	ReportRequest  int `json:"report_request"`
	ReportResponse int `json:"report_response"`
}

// probe does one pair to learn what the messages are. A wait plan or a refusal
// is no answer that an echo could stand for.
func (c *LoadCmd) probe(ctx context.Context, conn *grpc.ClientConn, w loadgen.Work) (messageSizes, []proto.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	client := usherv1.NewSchedulerServiceClient(conn)
	req := w.Request()
	if w.Sessions > 0 {
		req.SessionHash = loadgen.Session(0)
	}
	// An owner of its own: a stream will speak for the others.
	if w.Owner != nil {
		req.Owner = &usherv1.Owner{Name: w.Owner.GetName() + "-probe", Incarnation: w.Owner.GetIncarnation()}
	}
	selected, err := client.Select(ctx, req)
	if err != nil {
		return messageSizes{}, nil, err
	}
	sizes := messageSizes{SelectRequest: proto.Size(req), SelectResponse: proto.Size(selected)}
	if selected.GetSelection() == nil {
		if c.Echo {
			return sizes, nil, errors.New("the usher has no account for this work, so there is nothing to compare with an echo: " + notSelected(selected))
		}
		return sizes, nil, nil
	}
	report := &usherv1.ReportRequest{Events: []*usherv1.ReportEvent{loadgen.Finished(selected.GetSelection().GetLeaseToken())}}
	reported, err := client.Report(ctx, report)
	if err != nil {
		return sizes, nil, err
	}
	sizes.ReportRequest, sizes.ReportResponse = proto.Size(report), proto.Size(reported)
	return sizes, []proto.Message{selected, reported}, nil
}

func notSelected(r *usherv1.SelectResponse) string {
	if p := r.GetWaitPlan(); p != nil {
		return "it answers with a wait plan for " + clean(p.GetAccountId())
	}
	return "it refuses, " + refusalText(r.GetRefusal().GetReason())
}

func (c *LoadCmd) result(sizes messageSizes, rounds [][]loadgen.Round) (*loadResult, error) {
	r := &loadResult{
		Address: c.Address, Callers: c.callers(), Rate: c.Rate, Connections: c.Connections,
		Reports: c.Reports, Sessions: c.Sessions, Bytes: sizes, WaitSeconds: c.Wait.Seconds(),
		RoundSeconds: c.plan().Duration.Seconds(),
	}
	if c.Rate > 0 {
		r.Arrivals = c.Arrivals
	}
	var err error
	if r.Usher, err = sideOf(rounds[0]); err != nil {
		return nil, fmt.Errorf("usher: %w", err)
	}
	if len(rounds) < 2 {
		return r, nil
	}
	echo, err := sideOf(rounds[1])
	if err != nil {
		return nil, fmt.Errorf("echo: %w", err)
	}
	r.Echo = &echo
	r.Ratio = ratioOf(rounds[0], rounds[1])
	return r, nil
}

func ratioOf(usher, echo []loadgen.Round) *loadRatio {
	var throughput, p99 []float64
	for i := range usher {
		throughput = append(throughput, over(usher[i].Throughput(), echo[i].Throughput()))
		p99 = append(p99, over(float64(usher[i].Pair.Quantile(0.99)), float64(echo[i].Pair.Quantile(0.99))))
	}
	return &loadRatio{Throughput: median(throughput), P99: median(p99), EachThroughput: throughput, EachP99: p99}
}

func over(a, b float64) float64 {
	if b == 0 || math.IsNaN(b) {
		return 0
	}
	return a / b
}
