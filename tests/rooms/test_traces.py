"""Sending traces: in the background, one after another, and never in anybody's way."""

import asyncio
import logging
import socket
import time

import pytest
from worker_kit import run

from picard_pilot.data.traces import TraceSender
from picard_pilot.testing.mover_kit import until
from trace_receiver import receiving

QUICK_S = 5.0
"""Far below what a sender would take that waits for a service without an answer (its limit here is 60 s)."""


def _unanswered_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_traces_arrive_whole_and_in_order() -> None:
    """As JSON, by POST, without any credential."""
    with receiving() as receiver:

        async def work() -> None:
            async with TraceSender(receiver.url) as sender:
                for number in range(20):
                    sender.offer({"number": number, "filename": "ä.root"})
                await until(lambda: sender.sent == 20)

        run(work())
        assert [trace["number"] for trace in receiver.traces] == list(range(20))
        assert receiver.traces[0]["filename"] == "ä.root"
        assert receiver.headers[0]["content-type"] == "application/json"
        assert not {"authorization", "origin", "cookie"} & receiver.headers[0].keys()


def test_nothing_starts_before_the_first_trace() -> None:
    """No task and no connection for a pilot whose jobs move nothing."""

    async def work() -> None:
        before = asyncio.all_tasks()
        async with TraceSender("http://127.0.0.1:9/"):
            assert asyncio.all_tasks() == before

    run(work())


@pytest.mark.parametrize("status", [500, 0], ids=["refusing", "hanging"])
def test_a_service_in_trouble_holds_nobody(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Offering returns at once, the end gives up at once, and the trouble is one line."""
    with receiving(status) as receiver, caplog.at_level(logging.INFO):
        began = time.monotonic()

        async def work() -> None:
            async with TraceSender(receiver.url, send_limit_s=60, pause_s=60) as sender:
                for number in range(500):
                    sender.offer({"number": number})
                await until(receiver.asked.is_set)
                if status:
                    await until(lambda: sender.failed == 1)
                assert sender.sent == 0

        run(work())
        assert time.monotonic() - began < QUICK_S
        assert len([line for line in caplog.messages if "could not be sent" in line]) == (1 if status else 0)
        assert caplog.messages[-1].startswith("traces: 0 sent") and "given up" in caplog.messages[-1]


def test_a_service_that_is_down_is_not_asked_at_once_again() -> None:
    """A refused connection costs nothing, and comes once per pause, not once per trace."""

    async def work() -> None:
        async with TraceSender(f"http://127.0.0.1:{_unanswered_port()}/", pause_s=60) as sender:
            for number in range(50):
                sender.offer({"number": number})
            await until(lambda: sender.failed == 1)
            await asyncio.sleep(0)
            assert sender.failed == 1

    run(work())


def test_a_service_that_does_not_answer_in_time_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """The limit of one trace holds, and the next one has its own try after the pause."""
    with receiving(0) as receiver:

        async def work() -> None:
            async with TraceSender(receiver.url, send_limit_s=0.2, pause_s=0.01) as sender:
                sender.offer({"number": 1})
                await until(lambda: sender.failed == 1)
                receiver.status = 201
                sender.offer({"number": 2})
                await until(lambda: sender.sent == 1)

        run(work())
        assert [trace["number"] for trace in receiver.traces] == [2]


def test_the_oldest_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A queue of bounded length, with one line when it overflows."""
    with receiving(0) as receiver:

        async def work() -> None:
            async with TraceSender(receiver.url, kept=3) as sender:
                sender.offer({"number": 0})
                await until(receiver.asked.is_set)
                for number in range(1, 9):
                    sender.offer({"number": number})
                assert sender.dropped == 5
                assert [trace["number"] for trace in sender._waiting] == [6, 7, 8]

        run(work())
    assert len([line for line in caplog.messages if "oldest are dropped" in line]) == 1


def test_a_trace_that_is_no_json_costs_itself_alone() -> None:
    """Whatever stood in a field."""
    with receiving() as receiver:

        async def work() -> None:
            async with TraceSender(receiver.url, pause_s=0) as sender:
                sender.offer({"bad": "\udcff"})
                sender.offer({"good": 1})
                await until(lambda: sender.sent == 1)
                assert sender.failed == 1

        run(work())
        assert receiver.traces == [{"good": 1}]
