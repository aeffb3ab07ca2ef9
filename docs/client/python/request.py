"""A request of the gateway's caller, and the ways in which it can fail."""

from dataclasses import dataclass


@dataclass
class Request:
    """What the gateway knows about a request of its caller. The id is unique to it."""

    id: str
    tenant: str = ""
    model: str = ""
    session: str = ""
    previous_response: str = ""
    patience: float = 0  # seconds, for waiting when all is full


class Unserved(Exception):
    """Nothing can serve the request now. Answer the caller 429 or 503 with it."""

    def __init__(self, why, retry_after=0):
        super().__init__(f"nothing can serve this now: {why}")
        self.retry_after = retry_after  # seconds; 0 when asking again is not expected to help


class CallerLeft(Exception):
    """The caller cancelled."""


class UpstreamError(Exception):
    """An upstream's failure that is not the account's: the outcome says whose."""

    def __init__(self, why, outcome):
        super().__init__(why)
        self.outcome = outcome  # report.OUTCOME_CLIENT_ERROR, OUTCOME_UPSTREAM_TIMEOUT
