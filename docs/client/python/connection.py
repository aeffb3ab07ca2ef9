"""One channel to usher, and what its errors say."""

import grpc

import errors_pb2  # generated, as usher.v1 is: see docs/client/run.sh

OPTIONS = [
    # A dead peer is noticed within 13 s, also between calls.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # By default gRPC pauses up to 2 min between two attempts to connect.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


def connect(address):
    """Open the one channel that all calls of the process share; it is safe for use by threads.

    It does not wait for usher: calls fail with UNAVAILABLE until it is there, and the channel comes
    back by itself. The address is host:port or unix:///path/to/socket. Usher is on this machine;
    over a network use a secure channel instead.
    """
    return grpc.insecure_channel(address, options=OPTIONS)


AWAY = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}


def away(error):
    """No usher answers, or it is of no help: go on without it."""
    return error.code() in AWAY


def explain(error):
    """Take a gRPC error's details apart: fields, reason, retry_after in seconds."""
    fault = {"code": error.code().name, "fields": {}, "reason": "", "retry_after": 0}
    status = errors_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    for detail in status.details:
        name = detail.type_url.rpartition(".")[2]
        if name == "BadRequest":
            bad = errors_pb2.BadRequest.FromString(detail.value)
            fault["fields"] = {v.field: v.description for v in bad.field_violations}
        elif name == "ErrorInfo":
            fault["reason"] = errors_pb2.ErrorInfo.FromString(detail.value).reason
        elif name == "RetryInfo":
            delay = errors_pb2.RetryInfo.FromString(detail.value).retry_delay
            fault["retry_after"] = delay.ToNanoseconds() / 1e9
    return fault
