"""The monitor's page of stranded jobs: where what they made lies, until when, and who comes for it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import urllib3
from pages_kit import NOON_MS, Clock, Served, Story, served, signed_in
from test_pages_http import Reader, get

from browser_kit import chromium, needs_browser, watching
from picard_pilot.lifecycle.holding import moment
from picard_pilot.model.waiting import JOB, LATER_PILOT, Waiting, waiting_in

FOLDER = "/scratch/a <b> & c/PanDA_Pilot-1"
HOUR_S = 3600.0


def sentence(until_s: float, who: str = LATER_PILOT) -> str:
    """As a pilot tells it."""
    return Waiting(f"node7.example.org:{FOLDER}", moment(until_s), who, "DISK: nobody answers").text()


async def strand(story: Story, name: str, text: str | None, code: int | None = 1137) -> int:
    """A job that waits on a node, and whose pilot said this about it."""
    job_id = await story.add(name)
    await story.travel(job_id, until="stageout")
    said = {} if text is None else {"pilot_error_code": code, "pilot_error_diag": text}
    await story.move(job_id, "holding", "holding", host="node7.example.org", **said)
    return job_id


async def tell(story: Story, now_s: float) -> None:
    """Two jobs whose outputs wait, one too late, one whose pilot had to leave; and two that are not stranded."""
    await strand(story, "in time", sentence(now_s + 2 * HOUR_S))
    await strand(story, "in a break", sentence(now_s + HOUR_S, f"this pilot at {moment(now_s + 600)}"))
    await strand(story, "too late", sentence(now_s - HOUR_S))
    await strand(story, "left in the middle", None)
    judged = await story.add("being judged")
    await story.travel(judged)
    await story.add("waiting for its turn")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page, served; its own clock is the real one."""
    import time

    with served(tmp_path_factory.mktemp("pages")) as site:
        site.do(tell(site.story, time.time()))
        yield site


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    """A client that runs no script."""
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(30)) as pool:
        yield pool


def test_the_sentence_that_a_pilot_tells_can_be_read_back() -> None:
    """Also with strange directories, with its end cut off; any other sentence tells nothing."""
    told = Waiting("node:/a until b, c", "2026-11-22 12:00 UTC", "this pilot at 2026-11-22 11:00 UTC", "x: y")
    assert waiting_in(told.text()) == told
    assert waiting_in(told.text()[:-4]) == told._replace(why="")
    put_down = told._replace(what=JOB)
    assert waiting_in(put_down.text()) == put_down
    assert waiting_in("payload exited with 7") is None


def test_each_job_tells_where_until_when_and_who_comes(http: urllib3.PoolManager, site: Served) -> None:
    """The newest first; a window that is over stands out; what was not told is said to be not told."""
    answer = get(http, site, "/stranded")
    assert answer.status == 200
    html = answer.data.decode()
    page = Reader(html)
    assert page.tags.count("h1") == 1 and page.tags.count("caption") == 1
    assert "4 stranded jobs, the newest first" in html
    assert html.index("left in the middle") < html.index("too late") < html.index("in time")
    assert "being judged" not in html and "waiting for its turn" not in html
    assert html.count("<b>node7.example.org</b>") == 4
    assert html.count("/scratch/a &lt;b&gt; &amp; c/PanDA_Pilot-1</code>") == 3
    assert "ppilot recover list &#39;/scratch/a" in html
    assert html.count('class="over"') == 1 and "not told" in html
    assert "the next pilot there" in html and "this pilot at " in html
    assert "its pilot had to leave" in html
    assert "<b>" in html and "a <b> & c" not in html


def test_programs_get_the_same(http: urllib3.PoolManager, site: Served) -> None:
    """As JSON, with the sentence taken apart."""
    data = json.loads(get(http, site, "/stranded?format=json").data)
    assert data["schema"] == "ppilot.stranded/1" and data["data"]["total"] == 4
    waiting = [job["waiting"] for job in data["data"]["jobs"]]
    assert waiting[0] is None
    assert all(told["where"] == f"node7.example.org:{FOLDER}" for told in waiting[1:])


def test_the_start_page_leads_there_and_strangers_see_nothing(
    http: urllib3.PoolManager, site: Served
) -> None:
    """As any other page."""
    assert 'href="/stranded"' in get(http, site, "/jobs").data.decode()
    page = Reader(get(http, site, "/stranded").data.decode())
    current = [tag for tag, name, value in page.attributes if name == "aria-current" and value == "page"]
    assert current == ["a"]
    assert http.request("GET", f"{site.url}/stranded").status == 401


def test_without_stranded_jobs_the_page_says_so(http: urllib3.PoolManager, tmp_path: object) -> None:
    """And how to look into a directory."""
    from pathlib import Path

    with served(Path(str(tmp_path)), clock=Clock(NOON_MS)) as site:
        html = get(http, site, "/stranded").data.decode()
    assert "No jobs are stranded." in html and "ppilot recover list" in html


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_with_and_without_scripts(site: Served, width: int) -> None:
    """It fits the screen; with scripts it follows what happens, without them it shows what was."""
    with chromium() as browser, watching() as watch:
        still = signed_in(
            browser, site, watch, java_script_enabled=False, viewport={"width": width, "height": 800}
        )
        still.goto(f"{site.url}/stranded")
        assert still.locator("table.stranded tbody tr").count() == 4
        assert "node7.example.org" in still.locator("#job-1").inner_text()
        live = signed_in(browser, site, watch, viewport={"width": width, "height": 800})
        live.goto(f"{site.url}/stranded")
        live.locator("#link[data-state=live]").wait_for()
        assert live.evaluate("document.documentElement.scrollWidth") <= width
        late = site.do(strand(site.story, "just now", None))
        live.locator(f"#job-{late}").wait_for()
        site.do(site.story.move(int(str(late)), "finished", "finished"))
        live.locator(f"#job-{late}").wait_for(state="detached")
