package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

func renderLoad(r *loadResult, width int) string {
	f := &fields{width: width}
	f.add("load", describeLoad(r))
	f.add("messages", fmt.Sprintf("Select %d bytes, answer %d; Report %d bytes, answer %d",
		r.Bytes.SelectRequest, r.Bytes.SelectResponse, r.Bytes.ReportRequest, r.Bytes.ReportResponse))
	f.b.WriteString("\n" + roundTable(r) + "\n" + latencyTable(r) + "\n")
	f.add("usher", joined(", ", count(r.Usher.Pairs, "pair", "pairs"), count(r.Usher.Plans, "wait plan", "wait plans"),
		count(r.Usher.Refusals, "refusal", "refusals"), troubles(&r.Usher)))
	if r.Echo != nil {
		f.add("echo", fmt.Sprintf("%d %s, %s", r.Echo.Pairs, strings.TrimPrefix(strings.ToLower(echoUnit(r)), "echo "), troubles(r.Echo)))
		f.add("ratio", ratioText(r))
	}
	return f.b.String()
}

func describeLoad(r *loadResult) string {
	loop := fmt.Sprintf("closed loop, %s", count(uint64(r.Callers), "caller", "callers"))
	if r.Rate > 0 {
		loop = fmt.Sprintf("open loop, %s pairs/s, %s arrivals, at most %d under way", quantity(r.Rate), r.Arrivals, r.Callers)
	}
	sessions := "no sessions"
	if r.Sessions > 0 {
		sessions = count(uint64(r.Sessions), "session", "sessions")
	}
	wait := ""
	if r.WaitSeconds > 0 {
		wait = "in line for up to " + brief(time.Duration(r.WaitSeconds*1e9))
	}
	return joined(", ", loop, wait, count(uint64(r.Connections), "connection", "connections")+" to "+clean(r.Address), sessions,
		"reports "+r.Reports, fmt.Sprintf("%s of %s", count(uint64(len(r.Usher.EachPairsPerSecond)), "round", "rounds"), brief(time.Duration(r.RoundSeconds*1e9))))
}

func roundTable(r *loadResult) string {
	heads := []string{"ROUND", "PAIRS/S"}
	if r.Echo != nil {
		heads = append(heads, echoUnit(r)+"/S", "RATIO", "P99 RATIO")
	}
	g := newGrid(heads, heads[1:]...)
	row := func(name string, usher float64, echo func() []float64) {
		cells := []string{name, quantity(usher)}
		if r.Echo != nil {
			e := echo()
			cells = append(cells, quantity(e[0]), fixed(e[1], 3), fixed(e[2], 3))
		}
		g.row(cells...)
	}
	for i, v := range r.Usher.EachPairsPerSecond {
		row(strconv.Itoa(i+1), v, func() []float64 {
			return []float64{r.Echo.EachPairsPerSecond[i], r.Ratio.EachThroughput[i], r.Ratio.EachP99[i]}
		})
	}
	row("median", r.Usher.PairsPerSecond, func() []float64 {
		return []float64{r.Echo.PairsPerSecond, r.Ratio.Throughput, r.Ratio.P99}
	})
	return g.String()
}

func echoUnit(r *loadResult) string {
	if r.Reports == "stream" {
		return "ECHO CALLS"
	}
	return "ECHO PAIRS"
}

func latencyTable(r *loadResult) string {
	g := newGrid([]string{"LATENCY", "P50", "P99", "P99.9", "MAX"}, "P50", "P99", "P99.9", "MAX")
	row := func(name string, q *loadQuantile) {
		if q != nil {
			us := func(v float64) string { return brief(time.Duration(v * float64(time.Microsecond))) }
			g.row(name, us(q.P50), us(q.P99), us(q.P999), us(q.Max))
		}
	}
	row("Select", r.Usher.Select)
	report := "Report"
	if r.Reports == "stream" {
		report = "Report to ack"
	}
	row(report, r.Usher.Report)
	row("pair", r.Usher.Pair)
	if r.Echo != nil {
		row(strings.ToLower(strings.TrimSuffix(echoUnit(r), "S")), r.Echo.Pair)
	}
	return g.String()
}

func troubles(s *loadSide) string {
	var parts []string
	if s.Unapplied > 0 {
		parts = append(parts, count(s.Unapplied, "report", "reports")+" that freed nothing")
	}
	if s.Unsent > 0 {
		parts = append(parts, count(s.Unsent, "arrival", "arrivals")+" that no caller was free for: the true latency is worse")
	}
	if len(s.Errors) == 0 {
		return strings.Join(append(parts, "no errors"), ", ")
	}
	for _, code := range slices.Sorted(maps.Keys(s.Errors)) {
		parts = append(parts, fmt.Sprintf("%d × %s", s.Errors[code], code))
	}
	return strings.Join(parts, ", ")
}

func ratioText(r *loadResult) string {
	t, unit := r.Ratio.Throughput, "two echo calls"
	if r.Reports == "stream" {
		unit = "one echo call"
	}
	if r.Rate > 0 {
		return fmt.Sprintf("p99 of a pair is %s × that of %s, at the same rate", fixed(r.Ratio.P99, 2), unit)
	}
	text := fmt.Sprintf("pairs at %s of the throughput of %s", percent(t), unit)
	if r.Reports == "stream" && t > 0 {
		text += fmt.Sprintf(": a pair costs %s echo calls", fixed(1/t, 2))
	}
	return text
}
