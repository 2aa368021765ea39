"""The monitor's pages over a real socket: who may look, what is shown, and how it is kept safe."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import urllib3
from pages_kit import Served, served, showcase

from picard_pilot.server.auth import SESSION_COOKIE
from picard_pilot.server.pages import routes

PAGES = ("/jobs", "/jobs?state=failed", "/jobs?state=waiting", *(f"/jobs/{number}" for number in range(1, 9)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The showcase, served."""
    with served(tmp_path_factory.mktemp("pages")) as site:
        site.do(showcase(site.story))
        yield site


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    """A client that keeps no cookies and follows no redirect."""
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(10)) as pool:
        yield pool


def get(http: urllib3.PoolManager, site: Served, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
    """A page, signed in."""
    cookie = f"{SESSION_COOKIE}={site.door.session}"
    return http.request("GET", site.url + path, headers={"Cookie": cookie, **headers})


class Reader(HTMLParser):
    """Checks that tags nest and collects what a page refers to."""

    VOID = frozenset({"meta", "link", "img", "br", "rect", "line", "circle", "path"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_sound(http: urllib3.PoolManager, site: Served, path: str) -> None:
    """Tags nest, ids are unique, one h1, landmarks, captions, scopes; nothing inline, nothing from elsewhere."""
    answer = get(http, site, path)
    assert answer.status == 200
    page = Reader(answer.data.decode())
    assert page.tags.count("h1") == 1
    assert {"header", "main", "footer", "nav"} <= set(page.tags)
    assert page.tags.count("caption") == page.tags.count("table")
    scopes = [tag for tag, name, _ in page.attributes if name == "scope"]
    assert len(scopes) == page.tags.count("th")
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert not [name for _, name, _ in page.attributes if name == "style" or name.startswith("on")]
    links = [value for _, name, value in page.attributes if name in ("src", "href", "hx-sse:connect")]
    assert all(link.startswith(("/", "#")) or link == "" for link in links), links
    assert ("html", "lang", "en") in page.attributes


@pytest.mark.parametrize("path", ["/jobs", "/jobs/1", "/login?token=x", "/nowhere"])
def test_pages_carry_the_policy(http: urllib3.PoolManager, site: Served, path: str) -> None:
    """Everything from here, nothing kept, no address told to others."""
    answer = get(http, site, path)
    if path == "/nowhere":
        assert answer.status == 404
        return
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/jobs", "/jobs/1", "/ui/v1/live?page=jobs&state=all"])
def test_strangers_see_nothing(http: urllib3.PoolManager, site: Served, path: str) -> None:
    """Without the cookie there are directions instead of jobs."""
    for cookie in ("", f"{SESSION_COOKIE}=guess"):
        answer = http.request("GET", site.url + path, headers={"Cookie": cookie})
        assert answer.status == 401
        assert b"You are not signed in" in answer.data
        assert b"dimuon" not in answer.data


def test_a_login_address_works_once(http: urllib3.PoolManager, tmp_path: Path) -> None:
    """It gives a cookie that scripts cannot read, then leads to the jobs; the second time it is refused."""
    with served(tmp_path) as site:
        first = http.request("GET", f"{site.url}/login?token={site.door.token}", redirect=False)
        assert first.status == 303 and first.headers["Location"] == "/jobs"
        cookie = first.headers["Set-Cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        assert http.request("GET", f"{site.url}/login?token={site.door.token}").status == 403


def test_the_list_tells_states_and_causes(http: urllib3.PoolManager, site: Served) -> None:
    """Counts by state, a cause beside each failed job, and a filter that is an address."""
    html = get(http, site, "/jobs").data.decode()
    assert "All 8 jobs, newest first" in html
    assert "payload exited with 7: giving up, as asked" in html
    failed = get(http, site, "/jobs?state=failed").data.decode()
    assert "The 2 failed jobs" in failed and "waiting for its turn" not in failed


def test_one_jobs_page_tells_its_story(http: urllib3.PoolManager, site: Served) -> None:
    """The sentence first, the error with its name and next step, the files with their addresses, the attempts."""
    bad = get(http, site, "/jobs/2").data.decode()
    assert "<h1>Job 2 failed: payload exited with 7: giving up, as asked.</h1>" in bad
    assert "PAYLOADEXECUTIONFAILURE" in bad and "What to do" in bad
    assert 'href="/jobs/3"' in bad
    good = get(http, site, "/jobs/1").data.decode()
    assert "file:///storage/demo/dimuon.root" in good and "ad:7f3e11c0" in good and "DEMO_DISK" in good


def test_what_does_not_exist_is_said(http: urllib3.PoolManager, site: Served) -> None:
    """An unknown job and an unknown state are 404 with a sentence, not an empty page."""
    for path, words in (
        ("/jobs/999", "There is no such job"),
        ("/jobs?state=nice", "There is no such state"),
    ):
        answer = get(http, site, path)
        assert answer.status == 404 and words in answer.data.decode()
    assert get(http, site, "/ui/v1/live?page=job&id=x").status == 404


def test_every_page_is_data_too(http: urllib3.PoolManager, site: Served) -> None:
    """`?format=json` gives the same facts with the name of their form."""
    listed = json.loads(get(http, site, "/jobs?format=json").data)
    assert listed["schema"] == "ppilot.jobs/1"
    assert len(listed["data"]["jobs"]) == 8 and listed["data"]["counts"]["failed"] == 2
    one = json.loads(get(http, site, "/jobs/2?format=json").data)
    assert one["schema"] == "ppilot.job/1"
    assert one["data"]["sentence"].startswith("Job 2 failed")


def test_text_of_others_is_text(http: urllib3.PoolManager, tmp_path: Path) -> None:
    """Markup in a job's name, error or file never becomes markup of the page."""
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    with served(tmp_path) as site:
        number = site.do(site.story.add(evil, files=({"role": "output", "lfn": evil, "surl": evil},)))
        site.do(
            site.story.move(number, "failed", evil, host=evil, pilot_error_code=1305, pilot_error_diag=evil)
        )  # type: ignore[arg-type]
        for path in ("/jobs", f"/jobs/{number}"):
            page = Reader(get(http, site, path).data.decode())
            assert "img" not in [tag for tag in page.tags if tag == "img"][1:]
            assert not [value for _, name, value in page.attributes if name == "onerror"]
            assert page.tags.count("script") == 3


def test_only_the_changing_part_is_sent_to_the_script(http: urllib3.PoolManager, site: Served) -> None:
    """The fallback without a stream gets no head and no header."""
    part = get(http, site, "/jobs/1", **{"HX-Request": "true"}).data.decode()
    assert "<h1>" in part and "<html" not in part


def test_the_stream_brings_news(http: urllib3.PoolManager, tmp_path: Path) -> None:
    """First the part as it is, then again when the job moves; the last event's number comes with each."""
    with served(tmp_path) as site:
        number = site.do(site.story.add("watched"))
        cookie = {"Cookie": f"{SESSION_COOKIE}={site.door.session}"}
        answer = http.request(
            "GET", f"{site.url}/ui/v1/live?page=job&id={number}", headers=cookie, preload_content=False
        )
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["X-Accel-Buffering"] == "no"
        chunks = answer.stream(4096)
        text = ""
        for chunk in chunks:
            text += chunk.decode()
            if "is waiting for a pilot" in text:
                break
        site.do(site.story.travel(number, until="running"))  # type: ignore[arg-type]
        for chunk in chunks:
            text += chunk.decode()
            if "is running its payload" in text:
                break
        assert "is running its payload" in text
        assert re.search(r"^id: \d+", text, re.MULTILINE)
        answer.close()


def test_files_of_others_are_as_published(site: Served) -> None:
    """Each vendored file has the hash that VENDORED gives."""
    folder = Path(routes.__file__).parent / "static"
    noted = re.findall(r"^(\S+\.js)\s+([0-9a-f]{64})", (folder / "VENDORED").read_text(), re.MULTILINE)
    assert len(noted) == 2
    for name, digest in noted:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_the_timeline_is_a_file_too(http: urllib3.PoolManager, site: Served) -> None:
    """An SVG that stands alone, under a policy that lets nothing else in."""
    answer = get(http, site, "/jobs/1/timeline.svg")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    root = ElementTree.fromstring(answer.data)
    assert "running" in root.get("aria-label", "")
    assert get(http, site, "/jobs/999/timeline.svg").status == 404
