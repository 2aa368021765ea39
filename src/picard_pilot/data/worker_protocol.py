"""What the pilot and its transfer worker say to each other: one JSON object per line, both ways.

Only values; the worker's side is `data.worker_main`, the pilot's `data.worker`.
"""

import msgspec

from picard_pilot.model.transfer import AnyRequest, AnyResult

READS_AT_ONCE = 8
"""Requests under way at once that read from storages or ask them: with 20 ms of round trip, eight are 16 to 43 times
faster than one after the other (`File` and HTTP alike), and sixteen hardly faster than eight."""

STORES_AT_ONCE = 4
"""Uploads under way at once. A storage that checks them has few slots for it: eight at once at a door with two slots
took 90 s instead of 0.55 s, since those without a slot ask again in steps of 5 s."""


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
