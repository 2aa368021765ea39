"""A payload's own control group in the pilot, on a real kernel that is a program, as HTCondor 25 hands groups over."""

import json
import sys
from pathlib import Path

import pytest

from uml import SLOT_MEMORY_BYTES, lacks_guest, run_in_guest

REASON = lacks_guest()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")

SCRIPT = Path(__file__).parents[1] / "guest_confined.py"


def test_payloads_have_groups_of_their_own(tmp_path: Path) -> None:
    """One that takes too much memory is ended by the kernel within its group, and that is the fault; of one whose
    launcher is killed nothing lives on, not even what no other sign would find; the groups are removed."""
    answer = run_in_guest(tmp_path, (sys.executable, str(SCRIPT)))
    assert answer.exit_code == 0, answer
    told = json.loads(answer.stdout)
    assert told["rungs"][0] == "cgroup", told
    greedy, lost = told["greedy"], told["lost"]
    assert greedy["group"].startswith("/sys/fs/cgroup/batch.slice/job.slice/picard-1-")
    assert 0.7 * SLOT_MEMORY_BYTES < greedy["limit"] < SLOT_MEMORY_BYTES
    assert (greedy["signal"], greedy["fault"]) == (9, "PAYLOADOUTOFMEMORY"), told
    assert greedy["evidence"]
    assert (greedy["daemon"], greedy["left"]) == (0, False)
    assert (lost["event"], lost["before"], lost["daemon"], lost["left"]) == ("PayloadLost", 1, 0, False)
