"""The monitor's pages in a real browser: live, honest about it, and usable without scripts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pages_kit import Served, served, showcase, signed_in
from playwright.sync_api import Browser, Route, expect

from browser_kit import Watch, needs_browser

pytestmark = needs_browser


def test_a_job_goes_through_its_phases_live(browser: Browser, site: Served, watch: Watch) -> None:
    """Without a reload the page follows the job from the queue to its end."""
    number = site.do(site.story.add("watched"))
    page = signed_in(browser, site, watch)
    page.goto(f"{site.url}/jobs/{number}")
    badge, headline = page.locator("#link"), page.locator("h1")
    expect(badge).to_have_text("live")
    expect(headline).to_have_text(f"Job {number} is waiting for a pilot at queue PICARD_DEMO.")
    mark = page.evaluate_handle("window.unloaded = false; window")
    for phase, said in (
        ("setup", "is being set up on node7.example.org"),
        ("stagein", "is bringing its input to node7.example.org"),
        ("running", "is running its payload on node7.example.org"),
        ("stageout", "has run; its output is being stored"),
    ):
        status = "starting" if phase in ("setup", "stagein") else "running"
        site.do(site.story.move(number, status, phase, host="node7.example.org"))  # type: ignore[arg-type]
        expect(headline).to_have_text(f"Job {number} {said}.")
        expect(page.locator(f".gantt .phase-{phase}")).to_have_count(1)
    site.do(site.story.move(number, "finished"))  # type: ignore[arg-type]
    expect(page.locator(".lead .state")).to_contain_text("finished")
    assert page.evaluate("window.unloaded") is False
    mark.dispose()
    page.context.close()


def test_a_new_job_appears_in_the_list(browser: Browser, site: Served, watch: Watch) -> None:
    """The list that said it was empty shows the job and counts it."""
    page = signed_in(browser, site, watch)
    page.goto(f"{site.url}/jobs")
    expect(page.locator("main")).to_contain_text("No jobs yet.")
    number = site.do(site.story.add("fresh"))
    expect(page.locator(f"#job-{number}")).to_contain_text("fresh")
    expect(page.locator(".tile[aria-current] b")).to_have_text("1")
    page.context.close()


def test_what_the_reader_opened_stays_open(browser: Browser, site: Served, watch: Watch) -> None:
    """An update leaves the opened table open and the focus where it was."""
    number = site.do(site.story.add("steady"))
    site.do(site.story.travel(number, until="setup"))  # type: ignore[arg-type]
    page = signed_in(browser, site, watch)
    page.goto(f"{site.url}/jobs/{number}")
    expect(page.locator("#link")).to_have_text("live")
    page.locator("#phase-table summary").focus()
    page.keyboard.press("Enter")
    site.do(site.story.move(number, "running", "running"))  # type: ignore[arg-type]
    expect(page.locator("#phase-table tbody")).to_contain_text("running")
    assert page.locator("#phase-table").get_attribute("open") is not None
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.context.close()


def test_it_says_when_the_server_is_gone_and_comes_back(
    browser: Browser, tmp_path: Path, watch: Watch
) -> None:
    """The badge stops saying live, the text stays, and a server that returns is followed again."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with served(tmp_path, port=port) as site:
        number = site.do(site.story.add("survivor"))
        page = signed_in(browser, site, watch)
        page.goto(f"{site.url}/jobs/{number}")
        expect(page.locator("#link")).to_have_text("live")
        watch.cut = True
    expect(page.locator("#link")).to_contain_text("no answer, as of")
    expect(page.locator("h1")).to_contain_text("is waiting for a pilot")
    with served(tmp_path, port=port, door=site.door) as site:
        expect(page.locator("#link")).to_have_text("live", timeout=60_000)
        site.do(site.story.move(number, "cancelled"))  # type: ignore[arg-type]
        expect(page.locator("h1")).to_contain_text("was cancelled")
    page.context.close()


def test_it_updates_where_the_stream_is_held_back(browser: Browser, site: Served, watch: Watch) -> None:
    """Behind a proxy that swallows the stream the page asks every 5 s, and says so."""
    number = site.do(site.story.add("patient"))
    page = signed_in(browser, site, watch)
    page.route("**/ui/v1/live*", lambda route: None)
    page.goto(f"{site.url}/jobs/{number}")
    expect(page.locator("#link")).to_have_text("updating every 5 s")
    site.do(site.story.move(number, "cancelled"))  # type: ignore[arg-type]
    expect(page.locator("h1")).to_contain_text("was cancelled")
    page.context.close()


def test_it_works_without_scripts(browser: Browser, site: Served, watch: Watch) -> None:
    """From the login address to the error and the files, with JavaScript off."""
    site.do(showcase(site.story))
    context = browser.new_context(java_script_enabled=False)
    watch.context(context)
    page = context.new_page()
    page.goto(f"{site.url}/login?token={site.door.token}")
    expect(page.locator("h1")).to_have_text("Jobs")
    expect(page.locator("#link")).to_contain_text("load again")
    page.locator("#job-2 a").click()
    expect(page.locator("h1")).to_contain_text("payload exited with 7")
    expect(page.locator(".gantt text").first).to_be_visible()
    page.locator("#phase-table summary").click()
    expect(page.locator("#phase-table table")).to_be_visible()
    context.close()


@pytest.mark.parametrize("path", ["/jobs", "/jobs/1", "/jobs/2"])
def test_it_fits_a_phone_and_the_keyboard(browser: Browser, site: Served, watch: Watch, path: str) -> None:
    """At 320 px nothing needs sideways scrolling, in the dark too; the first Tab leads to the content."""
    site.do(showcase(site.story))
    page = signed_in(browser, site, watch, viewport={"width": 320, "height": 640}, color_scheme="dark")
    page.goto(site.url + path)
    expect(page.locator("#link")).to_have_text("live")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.context.close()


def test_slow_scripts_do_not_cost_the_stream(browser: Browser, site: Served, watch: Watch) -> None:
    """However late the extension arrives, the page becomes live."""
    page = signed_in(browser, site, watch)

    def delay(route: Route) -> None:
        page.wait_for_timeout(700)
        route.continue_()

    page.route("**/static/hx-sse.min.js", delay)
    page.goto(f"{site.url}/jobs")
    expect(page.locator("#link")).to_have_text("live")
    page.context.close()
