"""What the pilot and its transfer worker say to each other: one JSON object per line, both ways.

Only values; the worker's side is `data.worker_main`, the pilot's `data.worker`.
"""

import msgspec

from picard_pilot.model.transfer import AnyRequest, AnyResult

TRANSFERS_AT_ONCE = 4
"""Threads of the worker. A round trip is hidden by a few at once; storages that verify uploads take no more."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the worker; `number` comes back with everything said about it."""

    number: int
    request: AnyRequest


class Passed(msgspec.Struct, frozen=True, kw_only=True, tag="passed"):
    """So many bytes have passed so far for this request (a verifying read counts): a sign of life."""

    number: int
    passed_bytes: int


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """The end of a request."""

    number: int
    result: AnyResult


Reply = Passed | Answer
