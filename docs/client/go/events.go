package gateway

import (
	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "usher.internal/gen/usher/v1"
)

func about(lease string) *usherv1.ReportEvent_LeaseToken {
	return &usherv1.ReportEvent_LeaseToken{LeaseToken: lease}
}

func firstTokenEvent(lease string, after *durationpb.Duration, responseID string) *usherv1.ReportEvent {
	first := &usherv1.FirstToken{TimeToFirstToken: after, ResponseId: responseID}
	return &usherv1.ReportEvent{Subject: about(lease), Event: &usherv1.ReportEvent_FirstToken{FirstToken: first}}
}

func finishedEvent(lease string, end *usherv1.Finished) *usherv1.ReportEvent {
	return &usherv1.ReportEvent{Subject: about(lease), Event: &usherv1.ReportEvent_Finished{Finished: end}}
}

func switchedEvent(lease string) *usherv1.ReportEvent {
	return &usherv1.ReportEvent{Subject: about(lease), Event: &usherv1.ReportEvent_Switched{Switched: &usherv1.Switched{}}}
}

func releasedUnused(lease string) *usherv1.ReportEvent {
	return &usherv1.ReportEvent{Subject: about(lease), Event: &usherv1.ReportEvent_ReleasedUnused{ReleasedUnused: &usherv1.ReleasedUnused{}}}
}

// releasedByRequest gives back what a Select may have been granted whose answer never came.
func releasedByRequest(req *usherv1.SelectRequest) *usherv1.ReportEvent {
	name := &usherv1.RequestRef{Tenant: req.Tenant, OwnerName: req.GetOwner().GetName(), RequestId: req.RequestId}
	return &usherv1.ReportEvent{
		Subject: &usherv1.ReportEvent_Request{Request: name},
		Event:   &usherv1.ReportEvent_ReleasedUnused{ReleasedUnused: &usherv1.ReleasedUnused{}},
	}
}
