package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	usherv1 "usher.internal/gen/usher/v1"
)

// refusal is a request and the fields that must be named; none means that it is valid.
type refusal struct {
	name   string
	msg    proto.Message
	fields []string
}

func long(n int) string { return strings.Repeat("x", n) }

func many(n int, s string) []string { return slices.Repeat([]string{s}, n) }

func finished(f *usherv1.Finished) *usherv1.ReportEvent {
	return &usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: "t"},
		Event:   &usherv1.ReportEvent_Finished{Finished: f},
	}
}

func succeeded() *usherv1.ReportEvent {
	return finished(&usherv1.Finished{Outcome: usherv1.Outcome_OUTCOME_SUCCESS})
}

func report(events ...*usherv1.ReportEvent) *usherv1.ReportRequest {
	return &usherv1.ReportRequest{Events: events}
}

func released(ref *usherv1.RequestRef) *usherv1.ReportEvent {
	return &usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_Request{Request: ref},
		Event:   &usherv1.ReportEvent_ReleasedUnused{ReleasedUnused: &usherv1.ReleasedUnused{}},
	}
}

func selectRows() []refusal {
	type S = usherv1.SelectRequest
	return []refusal{
		{name: "empty", msg: &S{}},
		{name: "full", msg: &S{
			Group: long(128), SessionHash: long(512), PreviousResponseId: long(512), Model: "模型", Tenant: long(128),
			Provider: long(128), ExcludedAccountIds: many(1024, long(128)), LeaseTtl: durationpb.New(24 * time.Hour),
			Owner: &usherv1.Owner{Name: long(128), Incarnation: long(128)}, RequestId: long(128), Alternates: 16,
			Reports: slices.Repeat([]*usherv1.ReportEvent{succeeded()}, 64), RequiredTransport: 3,
		}},
		{name: "padded hash with a line end", msg: &S{SessionHash: " \tabc\r\n "}},
		{name: "long group", msg: &S{Group: long(129)}, fields: []string{"group"}},
		{name: "control in group", msg: &S{Group: "a\x00b"}, fields: []string{"group"}},
		{name: "C1 control in model", msg: &S{Model: "a\u0085b"}, fields: []string{"model"}},
		{name: "long hash", msg: &S{SessionHash: long(513)}, fields: []string{"session_hash"}},
		{name: "long response id", msg: &S{PreviousResponseId: long(513)}, fields: []string{"previous_response_id"}},
		{name: "long model", msg: &S{Model: long(129)}, fields: []string{"model"}},
		{name: "unknown transport", msg: &S{RequiredTransport: 99}, fields: []string{"required_transport"}},
		{name: "negative transport", msg: &S{RequiredTransport: -1}, fields: []string{"required_transport"}},
		{name: "long provider", msg: &S{Provider: long(129)}, fields: []string{"provider"}},
		{name: "blank excluded", msg: &S{ExcludedAccountIds: []string{"a", "b", "c", " "}}, fields: []string{"excluded_account_ids[3]"}},
		{name: "too many excluded", msg: &S{ExcludedAccountIds: many(1025, "a")}, fields: []string{"excluded_account_ids"}},
		{name: "owner without names", msg: &S{Owner: &usherv1.Owner{}}, fields: []string{"owner.name", "owner.incarnation"}},
		{name: "long owner", msg: &S{Owner: &usherv1.Owner{Name: long(129), Incarnation: "1"}}, fields: []string{"owner.name"}},
		{name: "long tenant", msg: &S{Tenant: long(129)}, fields: []string{"tenant"}},
		{name: "unknown class", msg: &S{PriorityClass: 9}, fields: []string{"priority_class"}},
		{name: "class", msg: &S{PriorityClass: usherv1.PriorityClass_PRIORITY_CLASS_LOW}},
		{name: "no wait", msg: &S{Wait: durationpb.New(0)}},
		{name: "wait", msg: &S{Wait: durationpb.New(time.Hour)}},
		{name: "long wait", msg: &S{Wait: durationpb.New(time.Hour + 1)}, fields: []string{"wait"}},
		{name: "negative wait", msg: &S{Wait: durationpb.New(-1)}, fields: []string{"wait"}},
		{name: "dry wait", msg: &S{Wait: durationpb.New(1), DryRun: true}, fields: []string{"wait"}},
		{name: "short ttl", msg: &S{LeaseTtl: durationpb.New(time.Second - 1)}, fields: []string{"lease_ttl"}},
		{name: "long ttl", msg: &S{LeaseTtl: durationpb.New(24*time.Hour + 1)}, fields: []string{"lease_ttl"}},
		{name: "negative ttl", msg: &S{LeaseTtl: durationpb.New(-1)}, fields: []string{"lease_ttl"}},
		{name: "ttl of mixed signs", msg: &S{LeaseTtl: &durationpb.Duration{Seconds: 5, Nanos: -1}}, fields: []string{"lease_ttl"}},
		{name: "long request id", msg: &S{RequestId: long(129)}, fields: []string{"request_id"}},
		{name: "blank request id", msg: &S{RequestId: "  "}, fields: []string{"request_id"}},
		{name: "dry run with id and reports", msg: &S{DryRun: true, RequestId: "r", Reports: report(succeeded()).Events}, fields: []string{"request_id", "reports"}},
		{name: "alternates", msg: &S{Alternates: 17}, fields: []string{"alternates"}},
		{name: "too many reports", msg: &S{Reports: slices.Repeat([]*usherv1.ReportEvent{succeeded()}, 65)}, fields: []string{"reports"}},
		{name: "bad report", msg: &S{Reports: report(succeeded(), &usherv1.ReportEvent{}).Events}, fields: []string{"reports[1].subject", "reports[1].event"}},
		{name: "no outcome in report", msg: &S{Reports: report(finished(&usherv1.Finished{})).Events}, fields: []string{"reports[0].finished.outcome"}},
		{name: "all at once", msg: &S{Group: long(129), Alternates: 99, Wait: durationpb.New(1)}, fields: []string{"group", "alternates"}},
	}
}

func reportRows() []refusal {
	type F = usherv1.Finished
	rows := []refusal{
		{name: "plain", msg: report(succeeded())},
		{name: "no events", msg: report(), fields: []string{"events"}},
		{name: "too many events", msg: report(slices.Repeat([]*usherv1.ReportEvent{succeeded()}, 257)...), fields: []string{"events"}},
		{name: "blank token", msg: report(&usherv1.ReportEvent{
			Subject: &usherv1.ReportEvent_LeaseToken{}, Event: succeeded().Event,
		}), fields: []string{"events[0].lease_token"}},
		{name: "long token", msg: report(&usherv1.ReportEvent{
			Subject: &usherv1.ReportEvent_LeaseToken{LeaseToken: long(1025)}, Event: succeeded().Event,
		}), fields: []string{"events[0].lease_token"}},
		{name: "no subject", msg: report(&usherv1.ReportEvent{Event: succeeded().Event}), fields: []string{"events[0].subject"}},
		{name: "no event", msg: report(&usherv1.ReportEvent{Subject: succeeded().Subject}), fields: []string{"events[0].event"}},
		{name: "by request", msg: report(released(&usherv1.RequestRef{RequestId: "r"}))},
		{name: "by blank request", msg: report(released(&usherv1.RequestRef{})), fields: []string{"events[0].request.request_id"}},
		{name: "by long names", msg: report(released(&usherv1.RequestRef{RequestId: long(129), Tenant: long(129), OwnerName: long(129)})), fields: []string{
			"events[0].request.tenant", "events[0].request.owner_name", "events[0].request.request_id",
		}},
		{name: "finished by request", msg: report(&usherv1.ReportEvent{
			Subject: released(&usherv1.RequestRef{RequestId: "r"}).Subject, Event: succeeded().Event,
		}), fields: []string{"events[0].request"}},
		{name: "no outcome", msg: report(finished(&F{})), fields: []string{"events[0].finished.outcome"}},
		{name: "unknown outcome", msg: report(finished(&F{Outcome: 77})), fields: []string{"events[0].finished.outcome"}},
		{name: "unknown scope", msg: report(finished(&F{Outcome: 1, LimitScope: 77})), fields: []string{"events[0].finished.limit_scope"}},
		{name: "negative ttft", msg: report(finished(&F{Outcome: 1, TimeToFirstToken: durationpb.New(-1)})), fields: []string{"events[0].finished.time_to_first_token"}},
		{name: "ttft beyond time", msg: report(finished(&F{Outcome: 1, TimeToFirstToken: &durationpb.Duration{Seconds: 1 << 62}})), fields: []string{"events[0].finished.time_to_first_token"}},
		{name: "long response id", msg: report(finished(&F{Outcome: 1, ResponseId: long(513)})), fields: []string{"events[0].finished.response_id"}},
		{name: "bad first token", msg: report(&usherv1.ReportEvent{Subject: succeeded().Subject, Event: &usherv1.ReportEvent_FirstToken{
			FirstToken: &usherv1.FirstToken{TimeToFirstToken: durationpb.New(-1), ResponseId: long(513)},
		}}), fields: []string{"events[0].first_token.time_to_first_token", "events[0].first_token.response_id"}},
		{name: "upstream status 0", msg: report(finished(&F{UpstreamStatus: new(int32)})), fields: []string{"events[0].finished.upstream_status"}},
		{name: "upstream status 600", msg: report(finished(&F{Outcome: 1, UpstreamStatus: proto.Int32(600)})), fields: []string{"events[0].finished.upstream_status"}},
		{name: "upstream status alone", msg: report(finished(&F{UpstreamStatus: proto.Int32(100)}), finished(&F{UpstreamStatus: proto.Int32(599)}))},
		{name: "upstream code alone", msg: report(finished(&F{UpstreamCode: long(128)}))},
		{name: "blank upstream code alone", msg: report(finished(&F{UpstreamCode: " "})), fields: []string{"events[0].finished.outcome"}},
		{name: "long upstream code", msg: report(finished(&F{UpstreamCode: long(129)})), fields: []string{"events[0].finished.upstream_code"}},
		{name: "limit", msg: report(finished(&F{
			Outcome: 3, RetryAfter: durationpb.New(30 * 24 * time.Hour), ResetAt: timestamppb.New(time.Unix(1, 0)), LimitScope: 2,
		}))},
		{name: "retry after 0", msg: report(finished(&F{Outcome: 3, RetryAfter: durationpb.New(0)})), fields: []string{"events[0].finished.retry_after"}},
		{name: "retry after too long", msg: report(finished(&F{Outcome: 3, RetryAfter: durationpb.New(30*24*time.Hour + 1)})), fields: []string{"events[0].finished.retry_after"}},
		{name: "retry after of mixed signs", msg: report(finished(&F{Outcome: 3, RetryAfter: &durationpb.Duration{Seconds: 5, Nanos: -1}})), fields: []string{"events[0].finished.retry_after"}},
		{name: "reset beyond time", msg: report(finished(&F{Outcome: 3, ResetAt: &timestamppb.Timestamp{Seconds: 1 << 62}})), fields: []string{"events[0].finished.reset_at"}},
		{name: "finished without content", msg: report(finished(nil)), fields: []string{"events[0].finished"}},
	}
	for outcome := range usherv1.Outcome_name {
		if outcome != 0 {
			rows = append(rows, refusal{name: usherv1.Outcome(outcome).String(), msg: report(finished(&F{Outcome: usherv1.Outcome(outcome)}))})
		}
	}
	return rows
}

func otherRows() []refusal {
	return []refusal{
		{name: "renew", msg: &usherv1.RenewRequest{LeaseTokens: many(256, "t"), LeaseTtl: durationpb.New(time.Second)}},
		{name: "renew nothing", msg: &usherv1.RenewRequest{}, fields: []string{"lease_tokens"}},
		{name: "renew too many", msg: &usherv1.RenewRequest{LeaseTokens: many(257, "t")}, fields: []string{"lease_tokens"}},
		{name: "renew blank", msg: &usherv1.RenewRequest{LeaseTokens: []string{"t", ""}}, fields: []string{"lease_tokens[1]"}},
		{name: "renew briefly", msg: &usherv1.RenewRequest{LeaseTokens: many(1, "t"), LeaseTtl: durationpb.New(0)}, fields: []string{"lease_ttl"}},
		{name: "metrics", msg: &usherv1.GetMetricsRequest{}},
		{name: "metrics of long group", msg: &usherv1.GetMetricsRequest{Group: long(129)}, fields: []string{"group"}},
		{name: "stream", msg: &usherv1.StreamMetricsRequest{Interval: durationpb.New(100 * time.Millisecond)}},
		{name: "stream too fast", msg: &usherv1.StreamMetricsRequest{Interval: durationpb.New(99 * time.Millisecond)}, fields: []string{"interval"}},
		{name: "stream too slow", msg: &usherv1.StreamMetricsRequest{Interval: durationpb.New(time.Hour + 1)}, fields: []string{"interval"}},
		{name: "stream of control", msg: &usherv1.StreamMetricsRequest{Group: "\x7f"}, fields: []string{"group"}},
		{name: "decisions", msg: &usherv1.ListDecisionsRequest{Limit: 1000, Layer: 3, Outcome: 4}},
		{name: "bad decisions", msg: &usherv1.ListDecisionsRequest{Limit: 1001, Layer: 4, Outcome: 5, Group: long(129), AccountId: long(129)}, fields: []string{
			"group", "account_id", "layer", "outcome", "limit",
		}},
		{name: "explain", msg: &usherv1.ExplainRequest{DecisionId: long(64)}},
		{name: "explain nothing", msg: &usherv1.ExplainRequest{}, fields: []string{"decision_id"}},
		{name: "explain too long", msg: &usherv1.ExplainRequest{DecisionId: long(65)}, fields: []string{"decision_id"}},
	}
}

func TestValidate(t *testing.T) {
	for _, row := range slices.Concat(selectRows(), reportRows(), otherRows()) {
		t.Run(fmt.Sprintf("%s/%s", row.msg.ProtoReflect().Descriptor().Name(), row.name), func(t *testing.T) {
			known, err := validate(row.msg)
			if !known {
				t.Fatal("no validation for it")
			}
			checkRefusal(t, row, err)
		})
	}
}

func checkRefusal(t *testing.T, row refusal, err error) {
	t.Helper()
	st := status.Convert(err)
	var fields []string
	for _, d := range st.Details() {
		if bad, is := d.(*errdetails.BadRequest); is {
			for _, v := range bad.GetFieldViolations() {
				fields = append(fields, v.GetField())
			}
		}
	}
	want := codes.OK
	if len(row.fields) > 0 {
		want = codes.InvalidArgument
	}
	if st.Code() != want || !slices.Equal(fields, row.fields) {
		t.Errorf("got %v %v, want %v %v", st, fields, want, row.fields)
	}
}

// Every request of a unary or server-streaming method has a validation; ReportStream checks its messages itself.
func TestEveryRequestIsValidated(t *testing.T) {
	files := []protoreflect.FileDescriptor{usherv1.File_usher_v1_scheduler_proto, usherv1.File_usher_v1_metrics_proto}
	for _, file := range files {
		services := file.Services()
		for i := range services.Len() {
			methods := services.Get(i).Methods()
			for j := range methods.Len() {
				m := methods.Get(j)
				if m.IsStreamingClient() {
					continue
				}
				input, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
				if err != nil {
					t.Fatal(err)
				}
				if known, _ := validate(input.New().Interface()); !known {
					t.Errorf("%s has no validation", m.FullName())
				}
			}
		}
	}
}

func TestViolationsFitAHeader(t *testing.T) {
	_, err := validate(&usherv1.SelectRequest{ExcludedAccountIds: many(1024, "")})
	st := status.Convert(err)
	if size := proto.Size(st.Proto()); size > 5<<10 {
		t.Errorf("the status has %d bytes; in base64 it must stay below 8 KiB", size)
	}
	if !strings.Contains(st.Message(), "1023 more") {
		t.Errorf("%q does not say how many more", st.Message())
	}
}

// A valid request costs no memory to check.
func TestValidateDoesNotAllocate(t *testing.T) {
	msg := &usherv1.SelectRequest{
		Group: "g", Model: "m", SessionHash: "s", ExcludedAccountIds: []string{"a"}, LeaseTtl: durationpb.New(time.Minute),
		Reports: report(succeeded()).Events,
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = validate(msg) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
