"""The monitor of the real server in a real browser, while a real pilot runs the job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser_kit import PATIENCE_MS, chromium, needs_browser, watching
from grid import Grid
from picard_pilot.server import control

pytestmark = needs_browser


@pytest.fixture
def page(grid: Grid) -> Iterator[Page]:
    """A browser that was opened with the server's login address. The server's authority is its own."""
    with watching() as watch, chromium() as browser:
        context = browser.new_context(ignore_https_errors=True)
        watch.context(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(control.login_url(Path(grid.info.data_dir)))
        expect(page.locator("h1")).to_have_text("Jobs")
        yield page
        context.close()


def test_a_job_is_followed_from_submission_to_its_stored_output(grid: Grid, page: Page) -> None:
    """The page goes from waiting to running to finished by itself, and shows where the output is."""
    go = grid.directory / "go"
    job_id = grid.submit_python(
        "import pathlib, sys, time\n"
        f"go = pathlib.Path({str(go)!r})\n"
        "while not go.exists(): time.sleep(0.05)\n"
        "pathlib.Path('answer.txt').write_text('42')\n",
        inFiles="question.txt",
        checksum=grid.put("question.txt", b"what is it?"),
        ddmEndPointIn="DISK",
        outFiles="answer.txt",
        ddmEndPointOut="DISK",
    )
    expect(page.locator(f"#job-{job_id}")).to_contain_text("activated")
    page.locator(f"#job-{job_id} a").click()
    expect(page.locator("h1")).to_contain_text(f"Job {job_id} is waiting for a pilot")
    pilot = grid.pilot("--jobs", "1")
    expect(page.locator("h1")).to_contain_text("is running its payload")
    for phase in ("queued", "starting", "stagein", "running"):
        expect(page.locator(f".gantt .phase-{phase}")).to_have_count(1)
    go.touch()
    expect(page.locator("h1")).to_contain_text(f"Job {job_id} finished: 2 files stored")
    row = page.locator(".files tr", has_text="answer.txt")
    expect(row).to_contain_text("DISK")
    expect(row).to_contain_text(f"file://{grid.store}/answer.txt")
    expect(row).to_contain_text("ad:")
    expect(page.locator("#link")).to_have_text("live")
    assert pilot.wait(60) == 0


def test_a_failed_job_explains_itself(grid: Grid, page: Page) -> None:
    """The sentence, the error's name and the next step are on the page; the list has the cause beside the job."""
    job_id = grid.submit("/bin/sh", "-c 'echo no calibration >&2; exit 7'")
    assert grid.pilot("--jobs", "1").wait(60) == 0
    cause = page.locator(f"#job-{job_id} .why")
    expect(cause).to_contain_text("exit code 7")
    page.locator(f"#job-{job_id} a").click()
    expect(page.locator("h1")).to_contain_text("no calibration")
    expect(page.locator(".card.error")).to_contain_text("PAYLOADEXECUTIONFAILURE")
    expect(page.locator(".card.error")).to_contain_text("What to do")


def test_a_login_address_opens_once(grid: Grid, page: Page) -> None:
    """The second visitor with the same address is told how to get a new one."""
    address = control.login_url(Path(grid.info.data_dir))
    browser = page.context.browser
    assert browser is not None
    first, second = (browser.new_context(ignore_https_errors=True).new_page() for _ in range(2))
    first.goto(address)
    expect(first.locator("h1")).to_have_text("Jobs")
    second.goto(address)
    expect(second.locator("h1")).to_have_text("This login address no longer works")
    expect(second.locator("main")).to_contain_text("ppilot server token --login")
    second.goto(f"{grid.info.url}/jobs")
    expect(second.locator("h1")).to_have_text("You are not signed in")
    for other in (first, second):
        other.context.close()
