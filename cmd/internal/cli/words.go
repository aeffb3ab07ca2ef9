package cli

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// clean keeps what others named from steering the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// word is an enum's value as a person says it: EXCLUSION_REASON_RATE_LIMITED is "rate limited".
func word(e protoreflect.Enum) string {
	v := e.Descriptor().Values().ByNumber(e.Number())
	if v == nil {
		return "unknown (" + strconv.Itoa(int(e.Number())) + ")"
	}
	name := strings.TrimPrefix(string(v.Name()), enumPrefix(e.Descriptor()))
	return strings.ReplaceAll(strings.ToLower(name), "_", " ")
}

// valueOf is the number that a flag's value names: rate_limited or rate-limited.
func valueOf(e protoreflect.EnumDescriptor, flag string) (protoreflect.EnumNumber, error) {
	if flag == "" {
		return 0, nil
	}
	name := enumPrefix(e) + strings.ReplaceAll(strings.ToUpper(flag), "-", "_")
	if v := e.Values().ByName(protoreflect.Name(name)); v != nil {
		return v.Number(), nil
	}
	return 0, fmt.Errorf("%q is not one of %s", flag, strings.Join(flagValues(e), ", "))
}

func flagValues(e protoreflect.EnumDescriptor) []string {
	var all []string
	for i := 1; i < e.Values().Len(); i++ {
		all = append(all, strings.ToLower(strings.TrimPrefix(string(e.Values().Get(i).Name()), enumPrefix(e))))
	}
	return all
}

func enumPrefix(e protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(e.Values().Get(0).Name()), "UNSPECIFIED")
}

// brief is a duration in at most two units or three digits.
func brief(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + brief(-d)
	case d == 0:
		return "0s"
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + "ns"
	case d < 999500*time.Nanosecond:
		return digits(float64(d)/1e3) + "µs"
	case d < 999500*time.Microsecond:
		return digits(float64(d)/1e6) + "ms"
	case d < time.Minute:
		return digits(d.Seconds()) + "s"
	case d < time.Hour:
		return pair(d, time.Minute, "m", time.Second, "s")
	case d < 2*day:
		return pair(d, time.Hour, "h", time.Minute, "m")
	case d < 10*day:
		return pair(d, day, "d", time.Hour, "h")
	default:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
}

const day = 24 * time.Hour

// longTime is a time of a minute or more as Go writes it: 24h0m0s.
var longTime = regexp.MustCompile(`\b([0-9]+h)?[0-9]+m[0-9]+(\.[0-9]+)?s\b`)

// told is a text of the usher's, fit for a terminal and with times as brief has them.
func told(s string) string {
	return longTime.ReplaceAllStringFunc(clean(s), func(text string) string {
		d, err := time.ParseDuration(text)
		if err != nil {
			return text
		}
		return brief(d)
	})
}

func digits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return trimZeros(strconv.FormatFloat(v, 'f', 1, 64))
	default:
		return trimZeros(strconv.FormatFloat(v, 'f', 2, 64))
	}
}

func trimZeros(s string) string {
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

func pair(d, big time.Duration, bigUnit string, small time.Duration, smallUnit string) string {
	rest := d % big / small
	if rest == 0 {
		return fmt.Sprintf("%d%s", d/big, bigUnit)
	}
	return fmt.Sprintf("%d%s%d%s", d/big, bigUnit, rest, smallUnit)
}

// left says how long a deadline is away, as ", another 42s"; blank when there is none.
func left(until *timestamppb.Timestamp, now time.Time) string {
	if until == nil {
		return ""
	}
	if d := until.AsTime().Sub(now); d > 0 {
		return ", another " + brief(d)
	}
	return ", ended " + brief(now.Sub(until.AsTime())) + " ago"
}

// clock is an instant in UTC and how far it is from now.
func clock(at *timestamppb.Timestamp, now time.Time) string {
	t := at.AsTime()
	stamp := t.Format("2006-01-02 15:04:05 UTC")
	if d := now.Sub(t); d >= 0 {
		return stamp + ", " + brief(d) + " ago"
	}
	return stamp + ", in " + brief(t.Sub(now))
}

func count(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatUint(n, 10) + " " + many
}

func percent(share float64) string {
	return digits(share*100) + " %"
}

// slots is what is in use against the limit: 3/20, or 3/∞.
func slots(inUse uint32, limit int32) string {
	if limit <= 0 {
		return fmt.Sprintf("%d/∞", inUse)
	}
	return fmt.Sprintf("%d/%d", inUse, limit)
}

func millis(ms *float64) string {
	if ms == nil {
		return "–"
	}
	return brief(time.Duration(*ms * float64(time.Millisecond)))
}
