"""The monitor's page of where slot time went: sums, causes, what was saved; fit for every reader."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import urllib3
from pages_kit import Served, Story, served, signed_in
from test_pages_http import Reader, get

from browser_kit import chromium, needs_browser, watching
from picard_pilot.model.cost import Cost, Saving
from picard_pilot.model.states import Phase
from picard_pilot.server import costs
from picard_pilot.wire.cost import pairs_of


async def end(story: Story, name: str, status: str, cost: Cost, **columns: object) -> int:
    """A job that ended so, after its pilot told its cost."""
    job_id = await story.add(name)
    await story.travel(job_id)
    said = " ".join(f"{key}={value}" for key, value in pairs_of(cost).items())
    await story.move(job_id, status, status, job_metrics=said, core_count=cost.cores, **columns)
    await story.store.write(lambda write: costs.keep(write, job_id))
    return job_id


async def tell(story: Story) -> None:
    """A good job, a rescued one, one whose program failed, one that a storage failed; a queue with a strange name."""
    hour = {Phase.STAGEIN: 60.0, Phase.RUNNING: 3600.0}
    await end(story, "good", "finished", Cost(cores=4, wall_s=hour))
    await end(story, "rescued", "finished", Cost(wall_s=hour, saved_by=(Saving.RECOVERY,), spared=2))
    await end(story, "bad", "failed", Cost(wall_s={Phase.RUNNING: 1800.0}), pilot_error_code=1305)
    await end(story, "unlucky", "failed", Cost(wall_s={Phase.STAGEIN: 30.0}), pilot_error_code=1331)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page, served."""
    with served(tmp_path_factory.mktemp("pages")) as site:
        site.do(tell(site.story))
        yield site


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    """A client that runs no script."""
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(30)) as pool:
        yield pool


def test_sums_causes_and_savings(http: urllib3.PoolManager, site: Served) -> None:
    """Everything in words and units; the dearest cause first, with who has to act."""
    answer = get(http, site, "/cost")
    assert answer.status == 200
    html = answer.data.decode()
    page = Reader(html)
    assert page.tags.count("h1") == 1
    text = " ".join(html.split())
    assert "4 ended attempts took <b>5 h 35 min</b> of slots" in text
    assert text.index("1305 PAYLOADEXECUTIONFAILURE") < text.index("1331 MISSINGINPUTFILE")
    assert "1 job, 1 h 00 min of their payloads: a later pilot went on with what another had left" in text
    assert "2 requests to storages that were known to be sick, not made" in text
    told = json.loads(get(http, site, "/cost?format=json").data)
    assert told["schema"] == "ppilot.cost/1"
    assert told["data"]["good"]["jobs"] == 2


def test_other_spans_queues_and_owners(http: urllib3.PoolManager, site: Served) -> None:
    """The address is the filter; what is not there is said, with what there is."""
    assert "No attempt has ended" in get(http, site, "/cost?queue=%3Cb%3E").data.decode()
    assert "<b>&lt;" not in get(http, site, "/cost?queue=%3Cb%3E").data.decode()
    assert "only queue &lt;b&gt;" in get(http, site, "/cost?queue=%3Cb%3E").data.decode()
    wrong = get(http, site, "/cost?span=week")
    assert wrong.status == 404
    assert "1h, 1d, 7d, all" in wrong.data.decode()


@needs_browser
def test_the_page_is_fit_for_all(site: Served) -> None:
    """In light and dark, wide and narrow: nothing is refused, nothing is wider than the screen."""
    with chromium() as browser, watching() as watch:
        for width, scheme in ((1280, "light"), (390, "dark")):
            page = signed_in(
                browser, site, watch, color_scheme=scheme, viewport={"width": width, "height": 800}
            )
            page.goto(site.url + "/cost")
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert page.locator("nav [aria-current=page]").inner_text() == "Cost"
            page.context.close()
