"""What the final report says of inputs that came from the federation."""

import msgspec
from lifecycle_story import STAGED, START, a_job, good_story

from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.report import Sender, final_report
from picard_pilot.model.events import InputStaged
from picard_pilot.model.site import FEDERATION

SENDER = Sender(site_name="TEST", node="node1")


def metrics(*staged: InputStaged) -> dict[str, str]:
    """The report's metrics of a job whose inputs came so."""
    known = {event.lfn: event for event in staged}
    story = [
        known[event.lfn] if isinstance(event, InputStaged) else event for event in good_story(a_job(inputs=2))
    ]
    case = fold([(event, START + second) for second, event in enumerate(story)])
    assert case is not None
    return dict(final_report(case, SENDER).metrics)


def test_files_and_bytes_of_the_federation_are_counted() -> None:
    """One of two came from there; a file read directly counts with its size, an unknown size with none."""
    here, there = STAGED
    far = msgspec.structs.replace(there, endpoint=FEDERATION, size_bytes=3_000_000)
    assert metrics(here, far) == {"filesWithFAX": "1", "bytesWithFAX": "3000000"}
    unknown = msgspec.structs.replace(here, endpoint=FEDERATION, size_bytes=None, how="direct")
    assert metrics(unknown, far) == {"filesWithFAX": "2", "bytesWithFAX": "3000000"}


def test_a_job_without_the_federation_says_nothing_of_it() -> None:
    """Nothing was federated, and no key is sent."""
    assert metrics(*STAGED) == {}
