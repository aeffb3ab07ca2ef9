"""The whole life of a request with usher beside the gateway, its retries, and what to do when usher
is away. Made to be copied and changed; docs/client.md tells the rules behind it.
"""

import threading
import time
from datetime import timedelta

import grpc
from google.protobuf.duration_pb2 import Duration

from connection import away
from reports import Reports
from request import CallerLeft, Unserved
from usher.v1 import report_pb2 as report
from usher.v1.scheduler_pb2 import RefusalReason, SelectRequest

MAX_ATTEMPTS = 3  # upstream calls for one request at most
SELECT_DEADLINE = 0.25  # seconds, for each try; an answer takes about a millisecond
LEASE_TTL = 600  # seconds, longer than any request runs: what a crash can leak
OTHERS_MAY_SERVE = (report.OUTCOME_ACCOUNT_ERROR, report.OUTCOME_UPSTREAM_TIMEOUT)


class Gateway:
    """Safe for use by threads."""

    def __init__(self, scheduler, name, incarnation, local):
        """The name is this process's own among living gateways and survives its restarts; the
        incarnation is new at each. local: accounts to use without usher, best first.
        """
        self.scheduler = scheduler
        self.owner = report.Owner(name=name, incarnation=incarnation)
        self.local = local
        self.reports = Reports(scheduler)
        self.alternates = {}  # of the last answer, by model

    def handle(self, request, call, left=threading.Event()):
        """Serve one request with call(account, model, first_token) and return the account that
        answered it. left is set when the caller leaves.
        """
        failed = []  # accounts that failed this request
        reports = []  # how the last attempt went, told with the next Select
        for attempt in range(MAX_ATTEMPTS):
            # Each attempt is a Select of its own, so it has an id of its own.
            request_id = f"{request.id}/{attempt}"
            account, model, lease = self._choose(request, request_id, failed, reports, left)
            finished, error = self._attempt(account, model, lease, call, left)
            reports = [report.ReportEvent(lease_token=lease, finished=finished)] if lease else []
            if not error or finished.outcome not in OTHERS_MAY_SERVE or attempt + 1 == MAX_ATTEMPTS:
                self.reports.send(*reports)
                if error:
                    raise error
                return account
            failed.append(account)
            if lease:
                reports.insert(0, report.ReportEvent(lease_token=lease, switched=report.Switched()))

    def _attempt(self, account, model, lease, call, left):
        """Make one upstream call and say how it went. The first token is reported at once, beside
        the stream; finished repeats its figures in case that report is lost.
        """
        began, first, told = time.monotonic(), report.FirstToken(), []

        def first_token(response_id=""):
            first.time_to_first_token.FromTimedelta(timedelta(seconds=time.monotonic() - began))
            first.response_id = response_id
            if lease:
                event = report.ReportEvent(lease_token=lease, first_token=first)
                told.append(threading.Thread(target=self.reports.send, args=[event]))
                told[0].start()

        error, outcome = None, report.OUTCOME_SUCCESS
        try:
            call(account, model, first_token)
        except Exception as e:
            error, outcome = e, getattr(e, "outcome", report.OUTCOME_ACCOUNT_ERROR)
            outcome = report.OUTCOME_CANCELLED if left.is_set() else outcome
        for thread in told:
            thread.join()
        finished = report.Finished(outcome=outcome, response_id=first.response_id)
        finished.time_to_first_token.CopyFrom(first.time_to_first_token)  # 0 is no sample
        return finished, error

    def _choose(self, request, request_id, failed, reports, left):
        """Ask usher for an account until it has one, the answer is no, or patience is over."""
        ask = SelectRequest(
            request_id=request_id, owner=self.owner, tenant=request.tenant, model=request.model,
            session_hash=request.session, previous_response_id=request.previous_response,
            excluded_account_ids=failed, reports=reports, alternates=3, lease_ttl=Duration(seconds=LEASE_TTL),
        )
        give_up, pause = time.monotonic() + request.patience, 0.025
        while True:
            try:
                answer = self.select(ask)
            except grpc.RpcError as error:
                if not away(error):
                    self.reports.send(*ask.reports)  # the Select was refused: nothing was taken
                    raise
                # Perhaps a lease was granted and its answer lost: it is given back by its
                # request_id as soon as usher can be reached. What was to be reported is kept as well.
                ref = report.RequestRef(tenant=request.tenant, owner_name=self.owner.name, request_id=request_id)
                self.reports.keep(*ask.reports, report.ReportEvent(request=ref, released_unused={}))
                return self._fallback(request, failed)
            del ask.reports[:]  # applied, whatever the answer is
            kind = answer.WhichOneof("result")
            if kind == "selection":
                s = answer.selection
                if left.is_set():  # the caller left in the meantime: nothing goes upstream
                    self.reports.send(report.ReportEvent(lease_token=s.lease_token, released_unused={}))
                    raise CallerLeft
                if s.alternates:
                    self.alternates[request.model] = list(s.alternates)
                return s.account_id, s.upstream_model, s.lease_token
            if kind == "wait_plan":
                # A plan holds nothing: ask again with the same id, at growing intervals.
                pause = min(2 * pause, 1)
                why = f"full; the first place is on {answer.wait_plan.account_id}"
            elif kind == "refusal":
                pause = answer.refusal.retry_after.ToNanoseconds() / 1e9  # 0 when unset
                why = RefusalReason.Name(answer.refusal.reason)
            else:
                raise RuntimeError("usher gave an answer that this client does not know")
            if not pause or time.monotonic() + pause > give_up:
                raise Unserved(why, pause)
            if left.wait(pause):
                raise CallerLeft

    def select(self, ask):
        """Select with a deadline and one more try. The same request_id makes that safe: when the
        first answer was lost on its way, the second try finds the lease that it granted.
        """
        try:
            return self.scheduler.Select(ask, timeout=SELECT_DEADLINE)
        except grpc.RpcError as error:
            if not away(error):
                raise
            return self.scheduler.Select(ask, timeout=SELECT_DEADLINE)

    def _fallback(self, request, failed):
        """Choose without usher: the alternates of the last answer for this model first, then the
        gateway's own list. Nothing is held, so there is nothing to report.
        """
        spare = [(a.account_id, a.upstream_model) for a in self.alternates.get(request.model, [])]
        for account, model in spare + [(account, request.model) for account in self.local]:
            if account not in failed:
                return account, model, ""
        raise Unserved("usher is away and no account is left")
