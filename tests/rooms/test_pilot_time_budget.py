"""The time for transfers is that of the slot: a pilot near its end begins nothing that it could not see through."""

import logging
from pathlib import Path
from typing import Any

import pytest
from test_pilot_holding import Night, Storages, never

from picard_pilot.model.transfer import FailureClass, Remedy, StoreRequest, TransferFailure, Transferred


class Sick(Storages):
    """Storages whose failures are worth another try on the same one."""

    async def transfer(self, request: StoreRequest, on_progress: Any = None) -> Transferred | TransferFailure:
        await super().transfer(request, on_progress)
        return TransferFailure(
            kind=FailureClass.CONTACT, says="nobody answers", surl=request.surl, remedy=Remedy.BENCH
        )


@pytest.mark.parametrize(("lifetime_s", "most_tries"), [(20.0, 1), (200.0, 3), (90_000.0, 4)])
def test_no_try_begins_after_the_end_of_the_slot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lifetime_s: float, most_tries: int
) -> None:
    """Tries come after some 30, 150 and 600 s; those beyond the pilot's life are given up at once, and it is said."""
    night = Night(tmp_path, never, lifetime_s=lifetime_s)
    night.storages = Sick(night.clock, never)
    work = night.work(600)
    caplog.set_level(logging.INFO, logger="picard.staging")
    ended, _ = night.run(work)
    tries = [at for at, _ in night.storages.tries]
    assert 1 <= len(tries) <= most_tries
    assert max(tries) < lifetime_s and ended <= lifetime_s
    assert work.case.waiting and work.case.held is not None  # for a later pilot: the outputs are safe
    evidence = str([line.text for line in work.case.held.faults[0].evidence])
    for said in (evidence, caplog.text):
        assert ("the time for this file is used up" in said) is (lifetime_s < 90_000)
