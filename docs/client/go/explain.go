package gateway

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// Fault is a gRPC error with its details taken apart.
type Fault struct {
	Fields     map[string]string // INVALID_ARGUMENT: what is wrong, by field
	Reason     string            // for machines: REQUEST_RELEASED and others; blank when there is none
	RetryAfter time.Duration     // UNAVAILABLE while usher drains; else 0
}

// FaultOf takes an error's details apart; it is empty for an error that has none.
func FaultOf(err error) Fault {
	f := Fault{Fields: map[string]string{}}
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.BadRequest:
			for _, v := range d.FieldViolations {
				f.Fields[v.Field] = v.Description
			}
		case *errdetails.ErrorInfo:
			f.Reason = d.Reason
		case *errdetails.RetryInfo:
			f.RetryAfter = d.RetryDelay.AsDuration()
		}
	}
	return f
}

// Explain gives an error in one line for the log.
func Explain(err error) string {
	s, f := status.Convert(err), FaultOf(err)
	return fmt.Sprintf("%v: %s (reason %q, fields %v, retry after %v)", s.Code(), s.Message(), f.Reason, f.Fields, f.RetryAfter)
}
