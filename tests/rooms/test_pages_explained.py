"""The monitor's pages that explain an error, and the ways there from a job."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape

import pytest
import urllib3
from pages_kit import Served, served, signed_in
from playwright.sync_api import Browser, expect
from test_pages_http import Reader, get

from browser_kit import Watch, needs_browser
from picard_pilot.diagnosis.catalogue.codes import BY_NAME, ROWS
from picard_pilot.diagnosis.catalogue.plain import data
from picard_pilot.diagnosis.catalogue.row import Reader as For
from picard_pilot.diagnosis.catalogue.transfers import BY_KEY


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The pages of a server that never had a job."""
    with served(tmp_path_factory.mktemp("pages")) as site:
        yield site


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    """A client that runs no script."""
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(30)) as pool:
        yield pool


@pytest.mark.parametrize("name", ["1099", "STAGEINFAILED", "pilot:1099", "stagein/contact"])
def test_an_error_is_explained_without_any_job(http: urllib3.PoolManager, empty: Served, name: str) -> None:
    """What it means, what each reader can do, and the same at a terminal."""
    answer = get(http, empty, f"/errors/{name}")
    html = answer.data.decode()
    page = Reader(html)
    row = BY_KEY.get(name) or BY_NAME["STAGEINFAILED"]
    assert answer.status == 200 and page.tags.count("h1") == 1
    told = unescape(html)
    for text in (row.summary, *row.causes, *filter(None, map(row.advice, For))):
        assert text in told
    title = re.search("<h1>([^<]+)</h1>", html)
    assert title is not None
    assert f"ppilot explain {title[1].split()[0]}" in html


def test_every_row_has_a_page_whose_links_lead_somewhere(http: urllib3.PoolManager, empty: Served) -> None:
    """All errors and classes; what is reserved says so."""
    wanted = [*(f"/errors/{row.number}" for row in ROWS), *(f"/errors/{key}" for key in BY_KEY)]
    led: set[str] = set()
    for path in wanted:
        answer = get(http, empty, path)
        assert answer.status == 200, path
        led |= set(re.findall(r'href="(/(?:errors|jobs)[^"]*)"', answer.data.decode()))
    assert "Picard does not report it" in get(http, empty, "/errors/1100").data.decode()
    others = {unescape(href) for href in led} - set(wanted)
    for path in sorted(others)[::20]:
        assert get(http, empty, path).status == 200, path


def test_the_page_as_json_is_what_the_command_says(http: urllib3.PoolManager, empty: Served) -> None:
    """The page's own link to it leads there."""
    html = get(http, empty, "/errors/1331").data.decode()
    assert 'href="/errors/1331?format=json"' in html
    told = json.loads(get(http, empty, "/errors/1331?format=json").data)
    assert told == json.loads(
        json.dumps({"schema": "ppilot.explain/1", "data": data(BY_NAME["MISSINGINPUTFILE"])})
    )


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/errors/99999", "There is no error"),
        ("/errors/STAGINFAILED", "STAGEINFAILED"),
        ("/errors/1210", "no text for it"),
        ("/errors/exit%2064", "There is no error"),
        ("/errors/%3Cb%3E", "&lt;b&gt;"),
        ("/errors/", "There is no error"),
    ],
)
def test_what_has_no_page_is_told_with_what_is_near(
    http: urllib3.PoolManager, empty: Served, path: str, said: str
) -> None:
    """A page of three parts, and nothing of the address becomes markup."""
    answer = get(http, empty, path)
    assert answer.status == 404
    assert said in answer.data.decode() and "<b>&" not in answer.data.decode()
    assert "What to do:" in answer.data.decode()


def test_a_stranger_sees_no_explanation(http: urllib3.PoolManager, empty: Served) -> None:
    """As of any page."""
    assert http.request("GET", f"{empty.url}/errors/1099").status == 401


def failed_transfer(site: Served, finer: str) -> int:
    """A job whose input could not be had."""
    job_id = site.do(site.story.add("unlucky"))
    site.do(
        site.story.move(
            job_id,  # type: ignore[arg-type]
            "failed",
            "failed",
            pilot_error_code=1099,
            pilot_error_diag="input a.root cannot be had",
            job_metrics=f"errorFiner={finer} errorEndpoint=SITE_%3CDISK%3E errorBlame=network",
        )
    )
    return int(job_id)  # type: ignore[call-overload]


def test_a_failed_transfer_tells_its_class_and_storage(http: urllib3.PoolManager, site: Served) -> None:
    """With the advice of the class, which is more exact than the number's; a class of a newer pilot is only told."""
    html = get(http, site, f"/jobs/{failed_transfer(site, 'stagein/contact')}").data.decode()
    assert '<a href="/errors/stagein/contact">stagein/contact</a> at SITE_&lt;DISK&gt;' in html
    assert unescape(BY_KEY["stagein/contact"].site) in unescape(html)
    assert "<dd>network</dd>" in html
    html = get(http, site, f"/jobs/{failed_transfer(site, 'stagein/teleport')}").data.decode()
    assert "stagein/teleport at SITE" in html and 'href="/errors/stagein/teleport"' not in html
    assert BY_NAME["STAGEINFAILED"].site in unescape(html)


@needs_browser
def test_from_a_job_to_what_its_error_means_and_back(browser: Browser, site: Served, watch: Watch) -> None:
    """By links alone; the symptom's causes are folded away until somebody wants them."""
    number = failed_transfer(site, "stagein/contact")
    page = signed_in(browser, site, watch)
    page.goto(f"{site.url}/jobs/{number}")
    page.get_by_role("link", name="STAGEINFAILED").click()
    expect(page.locator("h1")).to_have_text("1099 STAGEINFAILED")
    expect(page.get_by_role("link", name="1098 NOLOCALSPACE")).to_be_hidden()
    page.locator("#before summary").click()
    expect(page.get_by_role("link", name="1098 NOLOCALSPACE")).to_be_visible()
    page.get_by_role("link", name="those that failed of it").click()
    expect(page.locator(f"#job-{number}")).to_contain_text("unlucky")
    page.goto(f"{site.url}/jobs/{number}")
    page.get_by_role("link", name="stagein/contact").click()
    expect(page.locator("h1")).to_have_text("stagein/contact")
    page.context.close()


@needs_browser
@pytest.mark.parametrize("name", ["1305", "stagein/timeout", "1100"])
def test_the_page_fits_a_phone(browser: Browser, empty: Served, watch: Watch, name: str) -> None:
    """Nothing hangs over the edge."""
    page = signed_in(browser, empty, watch)
    page.set_viewport_size({"width": 320, "height": 700})
    page.goto(f"{empty.url}/errors/{name}")
    if page.locator("#before").count():
        page.locator("#before summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.context.close()
