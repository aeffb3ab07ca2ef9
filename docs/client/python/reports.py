"""Events over Report, with a place for those that cannot be delivered while usher is away."""

import logging
import threading

import grpc

from connection import away, explain
from usher.v1.report_pb2 import REPORT_STATUS_LEASE_UNKNOWN, REPORT_STATUS_TOKEN_INVALID, ReportRequest

REPORT_DEADLINE = 2  # seconds
MAX_BATCH = 256  # events that one Report may carry
MAX_KEPT = 8192  # events that wait for usher to come back


class Reports:
    """Safe for use by threads."""

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.lock = threading.Lock()
        self.kept = []  # guarded by lock: not delivered yet, oldest first

    def send(self, *events):
        """Deliver events, those that were kept before them first.

        While usher is away they are kept: sending them again is safe, since each kind of event
        counts once a lease.
        """
        self.keep(*events)
        while True:
            with self.lock:
                batch, self.kept = self.kept[:MAX_BATCH], self.kept[MAX_BATCH:]
            if not batch:
                return
            try:
                self._deliver(batch)
            except grpc.RpcError:
                self.keep(*batch)
                return

    def _deliver(self, batch):
        """Raise only when usher is away.

        A refused Report was applied in no part: the events go one by one then, so that a bad one
        does not take the others with it.
        """
        try:
            results = self.scheduler.Report(ReportRequest(events=batch), timeout=REPORT_DEADLINE).results
        except grpc.RpcError as error:
            if away(error):
                raise
            if len(batch) > 1:
                for event in batch:
                    self._deliver([event])
            else:
                logging.warning("usher refused an event: %s", explain(error))
            return
        lost = sum(r.status in (REPORT_STATUS_LEASE_UNKNOWN, REPORT_STATUS_TOKEN_INVALID) for r in results)
        if lost:
            logging.warning("usher has no lease for %d of %d events", lost, len(batch))

    def keep(self, *events):
        """Put events aside for the next send.

        When there are too many the oldest go: their leases end by lease_ttl.
        """
        with self.lock:
            self.kept = (self.kept + list(events))[-MAX_KEPT:]
