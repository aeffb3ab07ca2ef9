"""The life of a request against a real usher, which docs/client/run.sh starts; it names its address."""

import os
import subprocess
import sys
import threading
import time
import unittest

import grpc

from connection import connect, explain
from gateway import Gateway
from request import CallerLeft, Request, Unserved, UpstreamError
from usher.v1 import report_pb2 as report
from usher.v1.decision_pb2 import LAYER_PREVIOUS_RESPONSE_ID
from usher.v1.metrics_pb2 import GetMetricsRequest
from usher.v1.metrics_pb2_grpc import MetricsServiceStub
from usher.v1.scheduler_pb2 import REFUSAL_REASON_NO_ACCOUNTS, REFUSAL_REASON_NONE_ELIGIBLE, SelectRequest
from usher.v1.scheduler_pb2_grpc import SchedulerServiceStub

CHANNEL = connect(os.environ["USHER_ADDRESS"])
SCHEDULER, METRICS = SchedulerServiceStub(CHANNEL), MetricsServiceStub(CHANNEL)
STARTED = time.time_ns()
PATIENCE = 60  # seconds, for a busy machine: an example's own deadlines are for one that is not
grpc.channel_ready_future(CHANNEL).result(timeout=PATIENCE)


def unique(what, count=iter(range(1_000_000))):
    return f"{what}-{STARTED}-{next(count)}"


def select(**fields):
    return SCHEDULER.Select(SelectRequest(**fields), timeout=PATIENCE)


def tell(**fields):
    event = report.ReportEvent(**fields)
    return SCHEDULER.Report(report.ReportRequest(events=[event]), timeout=PATIENCE).results[0]


def snapshot():
    return METRICS.GetMetrics(GetMetricsRequest(), timeout=PATIENCE).snapshot


def fault(**fields):
    try:
        return select(**fields)
    except grpc.RpcError as error:
        return explain(error) | {"message": error.details()}


class Upstream:
    """Answers with a response id; the first so many calls fail. Notes where it was called."""

    def __init__(self, response_id="", failures=0):
        self.response_id, self.failures, self.accounts = response_id, failures, []

    def __call__(self, account, model, first_token):
        self.accounts.append(account)
        if len(self.accounts) <= self.failures:
            raise OSError("502")
        first_token(self.response_id)


class Watched:
    """A stub that notes the answers to Select, and calls on_answer with each before it is given."""

    def __init__(self):
        self.answers, self.on_answer = [], lambda answer: None

    def Report(self, events, timeout):
        return SCHEDULER.Report(events, timeout=PATIENCE)

    def Select(self, ask, timeout):
        self.answers.append(SCHEDULER.Select(ask, timeout=PATIENCE))
        self.on_answer(self.answers[-1])
        return self.answers[-1]


class BrokenConnection(grpc.RpcError):
    def code(self):
        return grpc.StatusCode.UNAVAILABLE


class Life(unittest.TestCase):
    def setUp(self):
        self.stub = Watched()
        self.gateway = Gateway(self.stub, "example-python", str(STARTED), ["static-1", "static-2"])

    def handle(self, call, left=threading.Event(), **fields):
        return self.gateway.handle(Request(id=unique("req"), **fields), call, left)

    def test_1_a_request_and_the_next_turn_of_its_conversation(self):
        response, session = unique("resp"), unique("chat")
        account = self.handle(Upstream(response), session=session)
        self.assertEqual(self.handle(Upstream(), previous_response=response), account)
        self.assertEqual(self.handle(Upstream(), session=session), account)
        self.assertEqual(self.stub.answers[1].decision.layer, LAYER_PREVIOUS_RESPONSE_ID)

    def test_2_a_retry_goes_elsewhere_and_tells_of_the_failed_attempt(self):
        call = Upstream(failures=1)  # the session would bring it back to the account that failed
        served = self.handle(call, session=unique("chat"))
        self.assertEqual(len(call.accounts), 2)
        self.assertNotEqual(call.accounts[0], served)
        results = [(r.status, r.account_id) for r in self.stub.answers[1].report_results]
        self.assertEqual(results, 2 * [(report.REPORT_STATUS_APPLIED, call.accounts[0])])  # switched, finished

    def test_3_the_callers_own_fault_is_not_tried_again(self):
        def call(*_):
            raise UpstreamError("400", report.OUTCOME_CLIENT_ERROR)

        self.assertRaisesRegex(UpstreamError, "400", self.handle, call)
        self.assertEqual(len(self.stub.answers), 1)

    def test_4_a_lost_answer_is_asked_for_again_and_finds_the_same_lease(self):
        def lose(_):
            if len(self.stub.answers) == 1:
                raise BrokenConnection

        self.stub.on_answer = lose
        self.handle(Upstream())
        first, second = self.stub.answers
        self.assertEqual(first.selection.lease_token, second.selection.lease_token)
        self.assertTrue(second.decision.repeated)

    def test_5_a_caller_that_leaves_gives_the_slot_back_unused(self):
        call, left = Upstream(), threading.Event()
        self.stub.on_answer = lambda _: left.set()
        self.assertRaises(CallerLeft, self.handle, call, left)
        self.assertEqual(call.accounts, [])
        again = tell(lease_token=self.stub.answers[0].selection.lease_token, released_unused={})
        self.assertEqual(again.status, report.REPORT_STATUS_ALREADY_RELEASED)

    def test_6_a_full_account_gives_a_wait_plan_and_patience_is_served(self):
        unlimited = [a.account_id for a in snapshot().accounts if a.max_concurrency <= 0]
        held, response = [select(excluded_account_ids=unlimited).selection], unique("resp")
        tell(lease_token=held[0].lease_token, first_token={"response_id": response})
        while (answer := select(previous_response_id=response)).HasField("selection"):
            held.append(answer.selection)
        self.assertEqual(answer.wait_plan.account_id, held[0].account_id)
        self.assertRaises(Unserved, self.handle, Upstream(), previous_response=response)

        def free(answer):
            if answer.HasField("wait_plan"):  # the next try finds room
                tell(lease_token=held[0].lease_token, finished={"outcome": report.OUTCOME_SUCCESS})

        self.stub.on_answer = free
        self.assertEqual(self.handle(Upstream(), previous_response=response, patience=PATIENCE), held[0].account_id)
        for s in held[1:]:
            tell(lease_token=s.lease_token, released_unused={})

    def test_7_refusals_are_answers(self):
        refusal = select(dry_run=True, group="no-such-group").refusal
        self.assertEqual(refusal.reason, REFUSAL_REASON_NO_ACCOUNTS)
        accounts = [a.account_id for a in snapshot().accounts]
        refusal = select(dry_run=True, excluded_account_ids=accounts).refusal
        self.assertEqual(refusal.reason, REFUSAL_REASON_NONE_ELIGIBLE)
        self.assertEqual(sum(e.accounts for e in refusal.exclusions), len(accounts))

    def test_8_errors_name_what_is_wrong(self):
        bad = fault(session_hash="x" * 513, alternates=17)
        self.assertEqual(bad["code"], "INVALID_ARGUMENT")
        self.assertEqual(sorted(bad["fields"]), ["alternates", "session_hash"])

        owner, request_id = self.gateway.owner, unique("req")
        marked = tell(request={"owner_name": owner.name, "request_id": request_id}, released_unused={})
        self.assertEqual(marked.status, report.REPORT_STATUS_RELEASE_RECORDED)
        released = fault(request_id=request_id, owner=owner)
        self.assertEqual((released["code"], released["reason"]), ("FAILED_PRECONDITION", "REQUEST_RELEASED"))

    def test_9_usher_goes_away_in_the_middle_of_a_request_and_comes_back(self):
        self.assertEqual(snapshot().leases_live, 0)

        def killing(account, model, first_token):
            subprocess.check_call([os.environ["USHER_CTL"], "kill"])
            first_token(unique("resp"))

        self.handle(killing)
        self.assertGreaterEqual(len(self.gateway.reports.kept), 2)  # what could not be delivered
        # Requests go on: on the alternates of the last answer first, then on the local choice.
        spare = self.gateway.alternates[""]
        self.assertEqual(self.handle(Upstream()), spare[0].account_id)
        del spare[1:]
        self.assertEqual(self.handle(Upstream(failures=1)), "static-1")
        # It is back: the same channel finds it, and what was kept is delivered.
        subprocess.check_call([os.environ["USHER_CTL"], "start"])
        grpc.channel_ready_future(CHANNEL).result(timeout=PATIENCE)
        served = self.handle(Upstream())
        self.assertIn(served, [a.account_id for a in snapshot().accounts])
        self.assertEqual(self.gateway.reports.kept, [])
        self.assertEqual(snapshot().leases_live, 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
