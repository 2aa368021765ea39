"""What a job costs: slot time of all pilots that had it and of nobody else, lost to its cause or saved by something."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifecycle_story import BAD_EXIT, STAGED, START, STARTED, a_job, exited, good_story, stored

from picard_pilot.lifecycle.account import OWN, Account
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.cost import cost
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.report import Sender, final_report
from picard_pilot.model import events as ev
from picard_pilot.model.cost import COSTLY, Cost, Saving
from picard_pilot.model.events import Event
from picard_pilot.model.fault import Blame
from picard_pilot.model.job import Job
from picard_pilot.model.states import Phase
from picard_pilot.wire.cost import cost_in, pairs_of, without_cost
from picard_pilot.wire.progress import pairs_in
from picard_pilot.wire.update import update_values


def told(*events: tuple[Event, float]) -> Case:
    """The case after events at these seconds from the beginning."""
    case = fold((event, START + after_s) for event, after_s in events)
    assert case is not None
    return case


def with_cores(cores: int) -> Job:
    """The story's job, on so many cores."""
    job = a_job()
    return msgspec.structs.replace(job, requirements=msgspec.structs.replace(job.requirements, cores=cores))


def test_a_good_job_costs_its_phases_times_its_cores() -> None:
    """Every second between its coming and its end is in exactly one phase."""
    case = told(*((event, float(n)) for n, event in enumerate(good_story(with_cores(8)))))
    found = cost(case)
    assert found.core_s() == pytest.approx(8 * (case.since - case.received_at))
    assert set(found.wall_s) == set(COSTLY)
    assert (found.error, found.blame, found.saved_by) == (None, None, ())
    assert (found.cpu_s, found.bytes_in, found.bytes_out) == (3.0, 2, 34)


def test_the_hours_in_which_nobody_had_the_job_cost_nothing() -> None:
    """A pilot dies in stage-in after 10 s, and is last seen after 7; another comes five hours later and needs 4 s."""
    case = told(
        (ev.JobReceived(job=a_job(), queue="Q"), 0),
        (ev.Admitted(), 1),
        (ev.Prepared(), 2),
        (ev.Resumed(pilot="p2", seen_alive_at=START + 7), 18_000),
        (STAGED[0], 18_001),
        (ev.InputsReady(), 18_004),
        (STARTED, 18_004),
    )
    assert cost(case).wall_s == {
        Phase.STARTING: 1,
        Phase.SETUP: 1,
        Phase.STAGEIN: 5 + 4,
        Phase.RUNNING: 0,
    }
    assert case.spent["staging_in"] == 9, "what the server is told as pilot_timing"


@pytest.mark.parametrize("seen", [None, START - 100, START + 1e9])
def test_a_last_sign_that_cannot_be_is_not_believed(seen: float | None) -> None:
    """Unknown, or by a clock that is wrong: what the journal itself shows counts, and never more than the gap."""
    case = told(
        (ev.JobReceived(job=a_job(), queue="Q"), 0),
        (ev.Admitted(), 1),
        (ev.Resumed(pilot="p2", seen_alive_at=seen), 50),
        (ev.Prepared(), 60),
    )
    assert 10 <= cost(case).wall_s[Phase.SETUP] <= 59


def test_a_payload_that_outlived_its_pilot_used_the_node_meanwhile() -> None:
    """Its launcher knows for how long, and that is what it cost."""
    lived = msgspec.structs.replace(exited().exit, wall_s=3000.0)
    story = [
        *((event, float(n)) for n, event in enumerate(good_story()[:7])),
        (ev.Resumed(pilot="p2", seen_alive_at=START + 8), 2000.0),
        (ev.PayloadExited(exit=lived), 3010.0),
    ]
    assert isinstance(story[6][0], ev.PayloadStarted)
    found = cost(told(*story))
    assert found.wall_s[Phase.RUNNING] == 3000.0
    assert found.saved_by == (Saving.RECOVERY,)
    assert found.saved_core_s == 3000.0


def test_a_job_on_disk_takes_no_slot() -> None:
    """Neither the pilot's break nor the wait for a later pilot is the job's cost."""
    story = [(event, float(n)) for n, event in enumerate(good_story()[:9])]
    last = len(story)
    held = ev.OutputsHeld(faults=(BAD_EXIT,), where="w", until=START + 90_000, again_at=START + 50_000)
    case = told(
        *story,
        (held, last),
        (ev.BreakOver(), 50_000),
        (ev.OutputStored(file=stored("out0.root"), seconds=1, reason="r", spared=2), 50_001),
        (ev.OutputsStored(), 50_002),
    )
    assert cost(case).total_s == pytest.approx(last + 2, abs=1)
    assert cost(case).spared == 2


def test_a_failed_job_is_lost_to_its_cause_whatever_helped_before() -> None:
    """All of it, with the one who is to blame; nothing is called saved."""
    case = told(
        *((event, float(n)) for n, event in enumerate(good_story()[:7])),
        (ev.Resumed(pilot="p2", seen_alive_at=START + 7), 8),
        (exited(7), 100),
        (ev.Diagnosed(faults=(BAD_EXIT,)), 101),
    )
    found = cost(case)
    assert (found.error, found.blame) == ("PAYLOADEXECUTIONFAILURE", Blame.PAYLOAD)
    assert found.saved_by == ()
    assert found.saved_core_s == 0


def test_an_output_elsewhere_saved_the_payload() -> None:
    """The alternative storage kept its hours."""
    elsewhere = msgspec.structs.replace(stored("out0.root"), alternative=True)
    story = good_story()
    story[9] = ev.OutputStored(file=elsewhere, seconds=1, reason="the first storage is full")
    found = cost(told(*((event, float(n)) for n, event in enumerate(story))))
    assert found.saved_by == (Saving.ALTERNATIVE,)


COSTS = st.builds(
    Cost,
    cores=st.integers(1, 128),
    wall_s=st.dictionaries(st.sampled_from(COSTLY), st.integers(0, 10**8).map(lambda cents: cents / 100)),
    cpu_s=st.none() | st.floats(0, 1e7),
    bytes_in=st.integers(0, 10**15),
    bytes_out=st.integers(0, 10**15),
    saved_by=st.sets(st.sampled_from(Saving)).map(lambda found: tuple(one for one in Saving if one in found)),
    spared=st.integers(0, 10**6),
)


@given(COSTS)
def test_the_server_reads_what_the_pilot_wrote(meant: Cost) -> None:
    """Through the text of `job_metrics`, among other pairs, within a fraction of what a server keeps."""
    text = " ".join(f"{key}={value}" for key, value in {"nEvents": "7", **pairs_of(meant)}.items())
    read = cost_in(pairs_in(text), meant.cores, meant.cpu_s)
    assert read is not None
    assert read == msgspec.structs.replace(
        meant, wall_s={phase: meant.wall_s.get(phase, 0.0) for phase in COSTLY}
    )
    assert len(text) < 250
    assert without_cost(text) == "nEvents=7"


@pytest.mark.parametrize(
    "wall", ["", "1/2", "1.0/2.0/3.0/4.0/5.0/x", "1/2/3/4/5/6", "-1.0/1.0/1.0/1.0/1.0/1.0"]
)
def test_what_is_no_cost_is_passed_over(wall: str) -> None:
    """Other people's metrics may have the same name."""
    assert cost_in({"costWall": wall}, 1, None) is None


def test_the_final_report_tells_it() -> None:
    """With every job, good or failed."""
    case = told(*((event, float(n)) for n, event in enumerate(good_story())))
    values = update_values(final_report(case, Sender(site_name="Q", node="n")))
    read = cost_in(pairs_in(str(values["job_metrics"])), 1, 3.0)
    assert read is not None
    assert read.total_s == pytest.approx(cost(case).total_s, abs=0.1)


STEPS = st.lists(
    st.tuples(
        st.floats(0, 1000), st.integers(1, 4), st.none() | st.sampled_from(list(Phase)), st.integers(1, 64)
    ),
    max_size=30,
)


@given(STEPS, st.integers(1, 64))
def test_the_shares_of_a_slot_are_the_slot(
    steps: list[tuple[float, int, Phase | None, int]], cores: int
) -> None:
    """Whatever jobs do beside each other, with however many cores: nothing is lost and nothing counted twice."""
    account, now = Account(100.0, cores), 100.0
    for pause, job_id, phase, asked in steps:
        now += pause
        account.now(now, job_id, phase, asked)
    account.count(now + 5)
    assert sum(account.core_s.values()) == pytest.approx(cores * (now + 5 - 100.0))
    assert account.total_core_s == pytest.approx(cores * (now + 5 - 100.0))
    assert all(seconds >= 0 for seconds in account.core_s.values())


def test_a_stage_in_beside_a_payload_costs_what_the_payload_leaves() -> None:
    """And the pilot's own time is what no job has."""
    account = Account(0.0, 8)
    account.now(10, 1, Phase.STAGEIN, 8)
    account.now(20, 1, Phase.RUNNING, 6)
    account.now(20, 2, Phase.STAGEIN, 8)
    account.now(30, 1, None)
    account.now(40, 2, Phase.HOLDING)
    account.count(50)
    assert account.core_s == {
        OWN: 80.0 + 80.0,
        (1, Phase.STAGEIN): 80.0,
        (1, Phase.RUNNING): 60.0,
        (2, Phase.STAGEIN): 20.0 + 80.0,
    }
