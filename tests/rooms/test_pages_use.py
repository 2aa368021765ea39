"""The part of a job's page about what its payload uses: live, without scripts, on a phone, and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import urllib3
from pages_kit import Served, signed_in
from playwright.sync_api import Browser, expect

from browser_kit import Watch, needs_browser
from picard_pilot.model.usage import ToldLimit, UsageNow
from picard_pilot.server import usage
from picard_pilot.server.auth import SESSION_COOKIE
from picard_pilot.wire.limit_notes import compose
from picard_pilot.wire.usage_now import pairs_of

LIMITS = (
    ToldLimit(
        measure="memory", value=4_000_000_000.0, unit="bytes", origin="queue", detail="maxrss 1907 MB x 2"
    ),
    ToldLimit(measure="wall time", value=3600.0, unit="s", origin="queue", detail="maxtime 3600 s"),
    ToldLimit(measure="free disk space", value=1e9, unit="bytes", origin="default", detail="n" * 200),
)


async def _beat(site: Served, job_id: int, wall_s: float, *, told: tuple[ToldLimit, ...] = ()) -> None:
    """One heartbeat with a look at the payload, which takes and gives back memory."""
    now = UsageNow(
        wall_s=wall_s,
        cpu_s=wall_s * 1.9,
        rss_kb=2_000_000 + 10_000 * int(wall_s % 60),
        pss_kb=1_000_000 + 10_000 * int(wall_s % 60),
        swap_kb=0,
        processes=5,
        directory_bytes=int(1e6 * wall_s),
        free_bytes=5 * 10**9,
        quiet_s=0.0,
    )
    metrics = " ".join(f"{key}={value}" for key, value in pairs_of(now).items())
    values = {"job_metrics": metrics, "tot_rchar": int(5e6 * wall_s), "tot_wchar": int(1e6 * wall_s)}
    await site.story.store.write(lambda write: usage.keep(write, job_id, values))
    if told:
        row = (job_id, 0, compose(told))
        await site.story.store.write(
            lambda write: write.execute("INSERT INTO pilot_logs (job_id, at, text) VALUES (?, ?, ?)", row)
        )


def _running(site: Served, *, points: int = 2) -> int:
    """A job whose payload runs and was looked at so often, every ten seconds."""
    job_id = site.do(site.story.add("measured"))
    assert isinstance(job_id, int)
    site.do(site.story.travel(job_id, until="running"))
    for number in range(1, points + 1):
        site.do(_beat(site, job_id, 10.0 * number, told=LIMITS if number == 1 else ()))
    return job_id


@needs_browser
def test_curves_and_limits_follow_the_heartbeats_without_a_reload(
    browser: Browser, site: Served, watch: Watch
) -> None:
    """A point more in each curve, the newest values beside the limits, and an open table stays open."""
    job_id = _running(site)
    page = signed_in(browser, site, watch)
    page.goto(f"{site.url}/jobs/{job_id}")
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("svg.plot")).to_have_count(5)
    memory = page.get_by_role("img", name="Memory: PSS")
    expect(memory).to_be_visible()
    page.locator("#use-table summary").click()
    rows = page.locator("#use-table tbody tr")
    expect(rows).to_have_count(2)
    site.do(_beat(site, job_id, 50.0))
    expect(rows).to_have_count(3)
    expect(rows.nth(2).locator("th")).to_have_text("0:00:50")
    expect(rows.nth(2)).to_contain_text("1.90")
    first = page.locator("table.limits tbody tr").first
    expect(first).to_contain_text("1.5 GB")
    expect(first).to_contain_text("queue: maxrss 1907 MB x 2")
    expect(first).to_contain_text("38 %")
    expect(page.get_by_role("meter", name="memory, part of its limit")).to_be_visible()
    expect(page.locator("svg.plot line.limit")).to_have_count(2)


@needs_browser
def test_everything_is_there_without_scripts(
    browser: Browser, site: Served, watch: Watch, tmp_path: Path
) -> None:
    """Drawings, their words, the table, and the past values of a job that is over."""
    job_id = _running(site, points=12)
    site.do(site.story.move(job_id, "finished", "finished", max_pss=1_700_000))
    page = signed_in(browser, site, watch, java_script_enabled=False)
    page.goto(f"{site.url}/jobs/{job_id}")
    expect(page.locator("svg.plot")).to_have_count(5)
    expect(page.locator(".keys").first).to_contain_text("PSS 1.02 GB, at most 1.54 GB")
    first = page.locator("table.limits tbody tr").first
    expect(first.locator("td").nth(0)).to_have_text("–")
    expect(first.locator("td").nth(1)).to_have_text("at most 1.7 GB")
    expect(page.locator("#use-table tbody tr")).to_have_count(12)
    page.screenshot(path=tmp_path / "use.png", full_page=True)


@needs_browser
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_screen_scrolls_sideways(browser: Browser, site: Served, watch: Watch, width: int) -> None:
    """Curves fit; the wide table scrolls in itself."""
    job_id = _running(site, points=3)
    page = signed_in(browser, site, watch, viewport={"width": width, "height": 800})
    page.goto(f"{site.url}/jobs/{job_id}")
    page.locator("#use-table summary").click()
    expect(page.locator("#use-table table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    right = "boxes => Math.max(...boxes.map(box => box.getBoundingClientRect().right))"
    card = page.locator("section", has=page.locator(".limits"))
    edge = card.evaluate("box => box.getBoundingClientRect().right")
    assert page.locator(".limits :is(th, td)").evaluate_all(right) <= edge
    assert page.locator("svg.plot").evaluate_all(right) <= edge


def test_a_running_job_shows_how_long_its_slot_lasts(site: Served) -> None:
    """As its pilot last told, for people and for programs; not once the job is over."""
    job_id = _running(site)
    http = urllib3.PoolManager(headers={"Cookie": f"{SESSION_COOKIE}={site.door.session}"})

    def shown() -> tuple[str, int | None]:
        page = http.request("GET", f"{site.url}/jobs/{job_id}").data.decode()
        return page, json.loads(http.request("GET", f"{site.url}/jobs/{job_id}?format=json").data)[
            "data"
        ].get("slot_left_s")

    says = "left for it when its pilot was last heard"
    assert says not in shown()[0]
    told = {"job_metrics": "nEvents=7 remainingTime=3660"}
    site.do(site.story.move(job_id, "running", "running", **told))
    page, left_s = shown()
    assert f"The slot had 1 h 01 min {says}" in page and left_s == 3660
    site.do(site.story.move(job_id, "finished", "finished", **told))
    page, left_s = shown()
    assert says not in page and left_s is None


def test_programs_get_the_points_and_the_limits(site: Served) -> None:
    """As numbers; a job of which nothing was measured has none of it on its page."""
    job_id, other = _running(site), site.do(site.story.add("waiting"))
    http = urllib3.PoolManager(headers={"Cookie": f"{SESSION_COOKIE}={site.door.session}"})
    document = json.loads(http.request("GET", f"{site.url}/jobs/{job_id}?format=json").data)
    assert [point["wall_s"] for point in document["data"]["curve"]] == [10.0, 20.0]
    near = document["data"]["near"][0]
    assert (near["measure"], near["limit"], near["now"]) == ("memory", 4e9, 1_200_000 * 1024)
    page = http.request("GET", f"{site.url}/jobs/{other}").data.decode()
    assert "What the payload uses" not in page
