"""How far a stage is: counted from what transfers say, at the rate of the last seconds, told and read back."""

import msgspec
import pytest

from picard_pilot.data.progress import RATE_WINDOW_S, Progress
from picard_pilot.model.progress import StageProgress
from picard_pilot.wire.progress import pairs_in, pairs_of, progress_in, without_progress


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_the_sentence_of_a_stage() -> None:
    """Three of ten files, and what is left at this rate."""
    hands = Hands()
    progress = Progress({f"f{number}": 400_000_000 for number in range(10)}, hands)
    hands.now += 10
    for number in range(3):
        progress.finished(f"f{number}")
    hands.now += 2.5
    assert progress.view().says() == "3 of 10 files, 1.2 GB of 4.0 GB, 96 MB/s, 29 s left"


def test_what_is_in_the_way_is_told_with_the_next_try() -> None:
    """The time only where one is known."""
    view = StageProgress(
        files_done=0, files_total=1, bytes_done=0, trouble="f from A: contact: nobody listens"
    )
    assert view.says() == "0 of 1 files, 0 B; f from A: contact: nobody listens"
    assert msgspec.structs.replace(view, again_s=150.0).says().endswith("nobody listens, again in 2 min")


@pytest.mark.parametrize(
    "words", ["f from A: contact: nobody listens", "é=%20 \x00 stageFiles=9/9 100%", "ü " * 300]
)
def test_a_trouble_goes_over_the_wire_as_one_pair(words: str) -> None:
    """Cut to its length, never in mid-character, and nothing in it is taken for another pair."""
    view = StageProgress(files_done=0, files_total=1, bytes_done=0, trouble=words)
    metrics = " ".join(f"{key}={value}" for key, value in pairs_of(view).items())
    back = progress_in(pairs_in(metrics))
    assert back is not None and back.trouble and words.startswith(back.trouble)
    assert (back.files_total, back.trouble == words) == (1, len(words) < 100)
    assert len(metrics) < 300 and without_progress(f"a=1 {metrics} b=2") == "a=1 b=2"


def test_nothing_is_known_at_the_start() -> None:
    """No rate and no time left before anything could be measured; never a division by zero."""
    hands = Hands()
    view = Progress({"a": 10, "b": None}, hands).view()
    assert view == StageProgress(files_done=0, files_total=2, bytes_done=0)
    assert view.says() == "0 of 2 files, 0 B"
    assert Progress({}, hands).view().share is None


def test_bytes_of_files_under_way_count() -> None:
    """A single large file shows progress long before it is through."""
    hands = Hands()
    progress = Progress({"large": 1000}, hands)
    hands.now += 5
    progress.passed("large", 250)
    view = progress.view()
    assert (view.bytes_done, view.rate_bytes_s, view.left_s, view.share) == (250, 50.0, 15.0, 0.25)


def test_a_failed_attempt_gives_its_bytes_back_but_not_its_rate() -> None:
    """What has to come again is not done; that the network carried it is true."""
    hands = Hands()
    progress = Progress({"a": 1000}, hands)
    hands.now += 10
    progress.passed("a", 800)
    progress.failed("a")
    assert (progress.view().bytes_done, progress.view().rate_bytes_s) == (0, 80.0)
    progress.passed("a", 100)
    progress.passed("a", 50)  # a worker that was started again begins anew without a word
    assert progress.view().bytes_done == 50


def test_more_bytes_than_expected_are_no_more_than_all() -> None:
    """A verifying read passes the bytes of a file once more."""
    hands = Hands()
    progress = Progress({"a": 100, "b": 100}, hands)
    progress.passed("a", 180)
    assert progress.view().bytes_done == 100
    progress.finished("a", 100)
    progress.finished("a", 100)
    assert (progress.view().files_done, progress.view().bytes_done) == (1, 100)


def test_the_rate_forgets() -> None:
    """A storage that stops is seen within the window, and the time left becomes unknown."""
    hands = Hands()
    progress = Progress({"a": 10_000}, hands)
    for second in range(1, 11):
        hands.now += 1
        progress.passed("a", 100 * second)
    assert progress.view().rate_bytes_s == pytest.approx(100)
    hands.now += 2 * RATE_WINDOW_S
    assert progress.view().rate_bytes_s == pytest.approx(0, abs=25)
    progress.passed("a", 1000)
    hands.now += 2 * RATE_WINDOW_S
    view = progress.view()
    assert (view.rate_bytes_s, view.left_s) == (0.0, None)


def test_what_is_already_there_is_done_and_says_nothing_of_the_rate() -> None:
    """Files of an earlier pilot, files read directly and links."""
    hands = Hands()
    progress = Progress({"old": 500, "direct": 500, "new": 1000}, hands, done={"old", "stranger"})
    hands.now += 1
    progress.finished("direct", moved=False)
    view = progress.view()
    assert (view.files_done, view.bytes_done, view.bytes_total, view.rate_bytes_s) == (2, 1000, 2000, 0.0)


def test_a_size_that_becomes_known_counts() -> None:
    """The total is known as soon as no file is without a size."""
    progress = Progress({"a": None, "b": 10}, Hands())
    assert progress.view().bytes_total is None
    progress.finished("a", 90)
    assert progress.view().bytes_total == 100


def test_ten_thousand_files_keep_few_samples() -> None:
    """The memory of a stage does not grow with what its transfers say."""
    hands = Hands()
    progress = Progress({f"f{number}": 10 for number in range(10_000)}, hands)
    for number in range(10_000):
        hands.now += 0.01
        progress.finished(f"f{number}")
    assert len(progress._samples) <= 2 + RATE_WINDOW_S / 0.5
    assert progress.view().rate_bytes_s == pytest.approx(1000, rel=0.1)


def test_pairs_of_a_stage_are_read_back() -> None:
    """What the pilot writes is what the monitor shows."""
    told = StageProgress(
        files_done=3,
        files_total=10,
        bytes_done=1_200_000_000,
        bytes_total=4_000_000_000,
        rate_bytes_s=95e6,
        left_s=30,
    )
    text = " ".join(f"{key}={value}" for key, value in pairs_of(told).items())
    assert text == "stageFiles=3/10 stageBytes=1200000000/4000000000 stageRate=95000000 stageLeft=30"
    assert progress_in(pairs_in(text)) == told
    unknown = StageProgress(files_done=0, files_total=1, bytes_done=7)
    assert progress_in(pairs_of(unknown)) == unknown


@pytest.mark.parametrize(
    "text", ["", "nEvents=3", "stageFiles=3/10", "stageFiles=-1/2 stageBytes=3", "stageFiles=x stageBytes=²"]
)
def test_pairs_that_tell_no_progress(text: str) -> None:
    """Whatever else a pilot writes there is no progress, and no error."""
    assert progress_in(pairs_in(text)) is None
