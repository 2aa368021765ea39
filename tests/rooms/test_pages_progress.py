"""A job's page while its files move, and where they came from: live, without scripts, and on a narrow screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages_kit import Served, signed_in
from playwright.sync_api import Browser, expect

from browser_kit import Watch, needs_browser
from picard_pilot.model.file_note import FileNote
from picard_pilot.model.progress import StageProgress
from picard_pilot.wire.progress import pairs_of
from picard_pilot.wire.transfer_notes import compose

pytestmark = needs_browser

FILES = tuple({"role": "input", "lfn": f"in{number}.root", "size_bytes": 400_000_000} for number in range(10))


def _metrics(files_done: int) -> str:
    done = StageProgress(
        files_done=files_done,
        files_total=10,
        bytes_done=400_000_000 * files_done,
        bytes_total=4_000_000_000,
        rate_bytes_s=95e6,
        left_s=30.0,
    )
    return " ".join(f"{key}={value}" for key, value in pairs_of(done).items())


async def _note(site: Served, job_id: int, *notes: FileNote) -> None:
    text = compose("stagein", notes)
    await site.story.store.write(
        lambda write: write.execute(
            "INSERT INTO pilot_logs (job_id, at, text) VALUES (?, ?, ?)", (job_id, write.now, text)
        )
    )


def _staging(site: Served) -> int:
    """A job in the middle of its stage-in."""
    job_id = site.do(site.story.add("moving", files=FILES))
    assert isinstance(job_id, int)
    site.do(site.story.travel(job_id, until="stagein", job_metrics=_metrics(3)))
    return job_id


def test_progress_moves_without_a_reload(browser: Browser, site: Served, watch: Watch) -> None:
    """The sentence and the bar follow the heartbeats, and are gone with the phase."""
    job_id = _staging(site)
    page = signed_in(browser, site, watch)
    page.goto(f"{site.url}/jobs/{job_id}")
    said, bar = page.locator(".moving"), page.locator("progress")
    expect(said).to_have_text("3 of 10 files, 1.2 GB of 4.0 GB, 95 MB/s, 30 s left")
    expect(bar).to_have_attribute("value", "30")
    expect(page.get_by_role("progressbar", name="Stage-in")).to_be_visible()
    site.do(site.story.move(job_id, "starting", "stagein", job_metrics=_metrics(7)))
    expect(said).to_contain_text("7 of 10 files")
    expect(bar).to_have_attribute("value", "70")
    site.do(site.story.move(job_id, "running", "running", job_metrics=_metrics(7)))
    expect(page.locator("h1")).to_contain_text("is running its payload")
    expect(bar).to_have_count(0)


def test_progress_and_ways_without_scripts(
    browser: Browser, site: Served, watch: Watch, tmp_path: Path
) -> None:
    """Read-only with scripts off: the sentence, the bar, and for each file where it came from and why."""
    job_id = _staging(site)
    way = {"ok": True, "size_bytes": 400_000_000, "seconds": 4.2}
    site.do(
        _note(
            site, job_id,
            FileNote(lfn="in0.root", endpoint="FAR_DISK", how="missing", ok=False, why="no <b>such</b> file"),
            FileNote(lfn="in0.root", endpoint="NEAR_DISK", how="copy", why="another replica, near", **way),
            FileNote(lfn="in1.root", endpoint="SITE_DISK", how="direct", why="larger than 2 GiB", **way),
        )
    )  # fmt: skip
    page = signed_in(browser, site, watch, java_script_enabled=False)
    page.goto(f"{site.url}/jobs/{job_id}")
    expect(page.locator(".moving")).to_contain_text("3 of 10 files")
    expect(page.locator("progress")).to_be_visible()
    first = page.locator("table.files tbody tr").nth(0)
    expect(first).to_contain_text("NEAR_DISK")
    expect(first).to_contain_text("staged")
    expect(first.locator(".way")).to_contain_text("copied: another replica, near")
    expect(first.locator(".tries li")).to_have_text("FAR_DISK: missing: no <b>such</b> file")
    second = page.locator("table.files tbody tr").nth(1)
    expect(second.locator(".way")).to_have_text("SITE_DISK read where it is: larger than 2 GiB")
    expect(page.locator("table.files tbody tr").nth(2).locator(".way")).to_have_text("–")
    page.screenshot(path=tmp_path / "ways.png", full_page=True)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_screen_has_a_sideways_scroll(browser: Browser, site: Served, watch: Watch, width: int) -> None:
    """Not even for names and addresses of 250 characters: why a file came from where is beside it, in sight."""
    long = "mc23_13p6TeV." + "x" * 237
    job_id = site.do(site.story.add("long", files=({"role": "input", "lfn": long}, *FILES)))
    assert isinstance(job_id, int)
    site.do(site.story.travel(job_id, until="stagein", job_metrics=_metrics(3)))
    tried = FileNote(lfn=long, endpoint="E" * 60, how="missing", ok=False, why="root://" + "a" * 233)
    came = FileNote(lfn=long, endpoint="F" * 60, how="copy", ok=True, why="b" * 240)
    site.do(_note(site, job_id, tried, came))
    page = signed_in(browser, site, watch, viewport={"width": width, "height": 800})
    page.goto(f"{site.url}/jobs/{job_id}")
    expect(page.locator("progress")).to_be_visible()
    expect(page.locator(".tries li")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    cells = page.locator("table.files :is(th, td)")
    right = "boxes => Math.max(...boxes.map(box => box.getBoundingClientRect().left + box.scrollWidth))"
    edge = "box => box.getBoundingClientRect().right + 1"
    # The heads stand out of sight on a phone, where every row is a block of its own.
    assert cells.evaluate_all(right) <= page.locator("section", has=page.locator(".files")).evaluate(edge)


@pytest.mark.parametrize(
    "metrics", ["stageFiles=9/2 stageBytes=5/3", "stageFiles=x", "stageFiles=0/0 stageBytes=0/0"]
)
def test_what_a_strange_pilot_tells_breaks_no_page(
    browser: Browser, site: Served, watch: Watch, metrics: str
) -> None:
    """More than all is all, and nonsense is nothing."""
    job_id = site.do(site.story.add("strange", files=FILES))
    assert isinstance(job_id, int)
    site.do(site.story.travel(job_id, until="stagein", job_metrics=metrics))
    page = signed_in(browser, site, watch)
    page.goto(f"{site.url}/jobs/{job_id}")
    expect(page.locator("h1")).to_contain_text("is bringing its input")
    bar = page.locator("progress")
    if bar.count():
        expect(bar).to_have_attribute("value", "100")
