"""The monitor's page of errors: counts by number, fingerprint and storage, each with a link to its jobs."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import urllib3
from pages_kit import Clock, Served, Story, served, signed_in
from playwright.sync_api import Browser
from test_pages_http import Reader, get

from browser_kit import Watch, needs_browser
from picard_pilot.model.fault import Evidence
from picard_pilot.server.pages import live, render, shown
from picard_pilot.server.pages.choice import Choice
from picard_pilot.server.pages.source import JobSource
from picard_pilot.server.store import Transaction, open_store
from picard_pilot.wire.error_notes import compose

GROUP = "fp1:0123456789ab"
LINES = [Evidence(text="bad <b>event</b> 17", file="payload.stderr"), Evidence(text="giving up")]
NOTE = "1305 X (payload): the payload ended\n  next: Turn <it> off.\n" + compose(
    GROUP, "bad <b>event</b> <n>\ngiving up", LINES
)
HOUR_MS = 3_600_000


async def fail(story: Story, node: str, queue: str = "PICARD_DEMO", **columns: object) -> int:
    """A job that failed there."""
    job_id = await story.add(f"on {node}", queue=queue)
    note = columns.pop("note", None)
    if note:
        await story.store.write(lambda write: _log(write, job_id, str(note)))
    await story.move(job_id, "failed", "failed", host=node, **columns)
    return job_id


def _log(write: Transaction, job_id: int, text: str) -> None:
    write.execute("INSERT INTO pilot_logs (job_id, at, text) VALUES (?, ?, ?)", (job_id, write.now, text))


async def tell(story: Story) -> None:
    """Failures of six days: an unknown one on three nodes, transfers at two storages, a lost pilot."""
    for number in range(4):
        await fail(
            story, f"node{number % 3}", pilot_error_code=1305, pilot_error_diag="the payload ended with exit code 3",
            job_metrics=f"errorFingerprint={GROUP} errorBlame=payload", note=NOTE,
        )  # fmt: skip
        story.after(24 * HOUR_MS)
    for endpoint in ("EOS <A>", "EOS <A>", "DCACHE_B"):
        coded = endpoint.replace(" ", "%20").replace("<", "%3C").replace(">", "%3E")
        await fail(
            story, "node9", pilot_error_code=1099, pilot_error_diag=f"{endpoint} does not answer",
            job_metrics=f"errorFiner=stagein/contact errorEndpoint={coded} errorBlame=storage",
        )  # fmt: skip
        story.after(24 * HOUR_MS)
    await fail(
        story, "node9", queue="OTHER", dispatcher_error_code=100, dispatcher_error_diag="lost heartbeat"
    )
    await story.add("waiting for its turn")


def begun() -> Clock:
    """A clock that stands at the present when the story has been told."""
    return Clock(int(time.time() * 1000) - 7 * 24 * HOUR_MS)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The pages, served."""
    with served(tmp_path_factory.mktemp("pages"), clock=begun()) as site:
        site.do(tell(site.story))
        yield site


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    """A client that runs no script."""
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(30)) as pool:
        yield pool


def test_failures_are_counted_by_error_fingerprint_and_storage(
    http: urllib3.PoolManager, site: Served
) -> None:
    """The most frequent first; what a group stands for can be read; nothing of a log becomes markup."""
    html = get(http, site, "/errors").data.decode()
    page = Reader(html)
    assert page.tags.count("h1") == 1 and page.tags.count("table") == page.tags.count("caption") == 3
    assert "8 jobs failed, on 4 nodes" in html
    assert (
        html.index("1305 PAYLOADEXECUTIONFAILURE")
        < html.index("1099 STAGEINFAILED")
        < html.index("LOSTHEARTBEAT")
    )
    assert "bad &lt;b&gt;event&lt;/b&gt; &lt;n&gt;\ngiving up" in html and "<b>event" not in html
    assert "<b>EOS &lt;A&gt;</b>" in html and "stage-in: contact" in html
    assert 'href="/errors/stagein/contact"' in html
    assert 'href="/errors/1305"' in html and "who can act: payload" in html
    drawn = html[html.index('<svg class="plot errors"') :]
    assert drawn.count("<g>") == 8 and "Failed jobs over time, at most 1 in " in drawn


def test_every_count_leads_to_so_many_jobs(http: urllib3.PoolManager, site: Served) -> None:
    """Followed one by one, with and without a narrower choice; every other link leads somewhere too."""
    for path in ("/errors", "/errors?queue=PICARD_DEMO&node=node9", f"/errors?fp={GROUP}&span=7d"):
        html = get(http, site, path).data.decode()
        links = re.findall(r'data-label="Jobs" class="number"><a href="([^"]+)">(\d+)</a>', html)
        assert links
        for href, number in links:
            address = unescape(href)
            data = json.loads(get(http, site, f"{address}&format=json").data)["data"]
            assert data["total"] == len(data["jobs"]) == int(number), address
            listed = get(http, site, address).data.decode()
            assert "chosen, newest first" in listed and "What they failed of" in listed
        for href in re.findall(r'href="(/errors\?[^"]+|/jobs/\d+)"', html):
            assert get(http, site, unescape(href)).status == 200, href


def test_a_jobs_page_says_how_many_failed_of_the_same(http: urllib3.PoolManager, site: Served) -> None:
    """With a link to all of them; for transfers those of the same class at the same storage."""
    for job_id, says, query in (
        (1, "4 jobs failed of the same, on 3 nodes", f"error=pilot%3A1305&fp={GROUP.replace(':', '%3A')}"),
        (
            5,
            "2 jobs failed of the same, on 1 node",
            "error=pilot%3A1099&finer=stagein%2Fcontact&endpoint=EOS+%3CA%3E",
        ),
        (7, "no other job failed of the same", "endpoint=DCACHE_B"),
    ):
        html = get(http, site, f"/jobs/{job_id}").data.decode()
        assert f">{says}</a>" in html and query in unescape(html), job_id
        assert (GROUP in html) is (job_id == 1)


def test_each_error_with_a_text_leads_to_it(http: urllib3.PoolManager, site: Served) -> None:
    """A pilot's, a transfer's, and the server's own, whose number is not taken for an exit code."""
    for path in ("/errors", "/jobs/8"):
        html = get(http, site, path).data.decode()
        explained = {unescape(href) for href in re.findall(r'href="(/errors/[^"?]+)"', html)}
        assert "/errors/dispatcher:100" in explained, path
        assert [get(http, site, href).status for href in explained] == [200] * len(explained)
    page = get(http, site, "/errors/dispatcher:100").data.decode()
    assert "dispatcher:100 LOSTHEARTBEAT" in page
    assert "1 job" in get(http, site, "/jobs?error=dispatcher%3A100").data.decode()
    assert '/jobs?error=dispatcher%3A100"' in unescape(page)


def test_what_to_do_is_what_the_jobs_pilot_said(http: urllib3.PoolManager, site: Served) -> None:
    """Which knows the rule that decided; elsewhere the catalogue's advice stands."""
    advised = [
        get(http, site, f"/jobs/{job_id}").data.decode().count("Turn &lt;it&gt; off.") for job_id in (1, 5)
    ]
    assert advised == [2, 0], "once as what to do, once in the pilot's extract"


def test_the_address_is_the_choice(http: urllib3.PoolManager, site: Served) -> None:
    """Each part can be taken away again; a span of time leaves out what was before."""
    html = get(http, site, f"/errors?error=pilot:1305&fp={GROUP}&node=node1&span=7d").data.decode()
    assert "1 job failed, on 1 node" in html
    assert "only fingerprint fp1:0123456789ab" in html and "only node node1" in html
    assert 'aria-current="true">last week' in html
    data = json.loads(get(http, site, "/errors?span=1d&format=json").data)
    assert data["schema"] == "ppilot.errors/1" and data["data"]["jobs"] == 1
    listed = get(http, site, "/jobs?state=failed&span=1d&error=dispatcher:100").data.decode()
    assert "The 1 failed job chosen" in listed and "only last day" in listed
    assert "No job failed of those that were chosen" in get(http, site, "/errors?queue=NONE").data.decode()


@pytest.mark.parametrize("query", ["span=2h", "error=many", "error=PILOT:1", "error=pilot:99999999999"])
def test_a_choice_of_nothing_is_explained(http: urllib3.PoolManager, site: Served, query: str) -> None:
    """On both pages, and no stream is opened for it."""
    name, _, value = query.partition("=")
    for path in ("/errors", "/jobs"):
        answer = get(http, site, f"{path}?{query}")
        assert answer.status == 404 and f"{name} is" in answer.data.decode() and value in answer.data.decode()
    assert get(http, site, f"/ui/v1/live?page=errors&{query}").status == 404


def test_strangers_see_nothing(http: urllib3.PoolManager, site: Served) -> None:
    """As of any other page."""
    assert http.request("GET", f"{site.url}/errors").status == 401
    assert 'href="/errors" aria-current="page"' in get(http, site, "/errors").data.decode()


def test_without_failures_the_page_says_so(http: urllib3.PoolManager, tmp_path: Path) -> None:
    """And how to look an error up."""
    with served(tmp_path) as site:
        html = get(http, site, "/errors").data.decode()
    assert "No job failed." in html and "ppilot explain" in html


def test_a_page_that_is_seldom_drawn_says_that_it_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two drawings the stream beats; a job that changes does not cause one."""
    monkeypatch.setattr(live, "BEAT_S", 0.01)
    monkeypatch.setattr(shown, "ERRORS_TICK_S", 0.05)

    async def listen() -> list[str]:
        store = open_store(tmp_path / "server.sqlite", durable=False)
        view = shown.Errors(Choice())
        told = live.messages(view, JobSource(store), store.feed, lambda: render.Page(now_s=0.0))
        kinds = [str((await anext(told)).event) for _ in range(6)]
        assert not view.concerns(17) and view.concerns(None)
        await told.aclose()
        store.close()
        return kinds

    kinds = asyncio.run(asyncio.wait_for(listen(), 60))
    assert kinds == ["None", "beat", "beat", "beat", "beat", "None"]


async def many(story: Story, number: int) -> None:
    """Failures of forty errors, as a site in trouble has them."""

    def write(transaction: Transaction) -> None:
        row = (
            "INSERT INTO jobs (first_id, attempt_nr, max_attempt, definition_id, name, queue, label, owner, priority,"
            " transformation, cores, status, created_at, changed_at, updated_at, ended_at, host, pilot_error_code)"
            " VALUES (1, 1, 1, 1, 'x', ?, 'user', ?, 1, 'sh', 1, 'failed', ?, ?, ?, ?, ?, ?) RETURNING job_id"
        )
        for place in range(number):
            at = transaction.now - place * 60_000
            values = (
                f"Q{place % 7}",
                f"user{place % 50}",
                at,
                at,
                at,
                at,
                f"node{place % 300}",
                1000 + place % 40,
            )
            job_id = transaction.execute(row, values).fetchone()[0]
            transaction.execute(
                "INSERT INTO job_errors VALUES (?, ?, 'pilot', ?, NULL, NULL, NULL, ?, ?, ?, ?)",
                (job_id, at, 1000 + place % 40, f"fp1:{place % 90:012x}", values[0], values[1], values[6]),
            )

    await story.store.write(write)


def test_ten_thousand_failures_are_one_page(http: urllib3.PoolManager, tmp_path: Path) -> None:
    """Of bounded length, with the number of all."""
    with served(tmp_path) as site:
        site.do(many(site.story, 10_000))
        html = get(http, site, "/errors").data.decode()
        listed = get(http, site, "/jobs?state=failed&error=pilot:1001").data.decode()
    assert "10000 jobs failed, on 300 nodes" in html and len(html) < 600_000
    assert "The newest 50 of 250 failed jobs that were chosen" in listed
    assert 'class="bar-6"' in html and "others: " in html


@needs_browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
def test_in_a_browser_with_and_without_scripts(
    browser: Browser, site: Served, watch: Watch, width: int, scheme: str
) -> None:
    """It fits the screen and the reader's colours; a count opens its jobs; with scripts it is live."""
    size = {"width": width, "height": 800}
    still = signed_in(browser, site, watch, java_script_enabled=False, viewport=size, color_scheme=scheme)
    still.goto(f"{site.url}/errors")
    assert still.locator("table.errors").count() == 3
    assert still.locator("svg.plot.errors rect").count() == 8
    still.locator("summary").first.click()
    still.locator("details pre").first.wait_for()
    still.locator("#code-pilot-1305 td[data-label=Jobs] a").click()
    assert still.locator("table.jobs tbody tr").count() == 4
    still.locator(".chip a").click()
    assert still.locator("table.jobs tbody tr").count() == 8
    still.context.close()
    live = signed_in(browser, site, watch, viewport=size, color_scheme=scheme)
    live.goto(f"{site.url}/errors?error=pilot:1305")
    live.locator("#link[data-state=live]").wait_for()
    assert live.evaluate("document.documentElement.scrollWidth") <= width
    assert "4 jobs failed" in live.locator("main").inner_text()
    live.context.close()
