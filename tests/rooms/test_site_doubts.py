"""What looks like a mistake in a site file, and that the pages' own ones have none."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from picard_pilot.movers import SPEAKERS
from picard_pilot.site.doubts import doubts
from picard_pilot.site.load import SourceRef, load_site

SAMPLES = Path(__file__).parent.parent / "samples" / "queues"
TOML = SourceRef("toml", SAMPLES / "local.toml")
QUEUES = SourceRef("cric", SAMPLES / "cric_pandaqueues.json")
ENDPOINTS = SourceRef("cric", SAMPLES / "cric_ddmendpoints.json")


def toml(folder: Path, text: str) -> SourceRef:
    """A TOML source with this text."""
    path = folder / "site.toml"
    path.write_text(text)
    return SourceRef("toml", path)


SPOKEN = ("file", "http", "root")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('endpoint.E.pathes = "flat"', "site.toml: endpoint.E.pathes: nobody knows this key; nearest: paths"),
        ("queue.Q.limit = 1", "site.toml: queue.Q.limit: nobody knows this key"),
        ("queue.Q.maxrss = 1", "site.toml: queue.Q.maxrss: nobody knows this key; nearest: limits.maxrss_mb"),
        ("queue.Q.maxwdir_mb = 1", "queue.Q.maxwdir_mb: nobody knows this key; nearest: limits.maxwdir_mb"),
        ("queue.Q.limits.maxrss = 1", "site.toml: queue.Q.limits.maxrss: nobody knows this key; nearest: maxrss_mb"),
        (
            'queue.Q.endpoints.write_alternatives = ["E"]',
            "site.toml: queue.Q.endpoints: write_alternatives is no activity; nearest: write_alternative",
        ),
        (
            'endpoint.E.protocols = ["htp://door/x"]',
            "site.toml: endpoint.E.protocols: no mover speaks htp:// (htp://door/x); nearest: http",
        ),
        ('endpoint.E.protocol = ["http://door/x"]', "endpoint.E has no address: it needs protocols = [ADDRESS]"),
    ],
)  # fmt: skip
def test_what_looks_like_a_typing_error_is_doubted(tmp_path: Path, line: str, said: str) -> None:
    """Nothing of it is an error, since keys may be from tomorrow; but it is said with the key and the likely one."""
    text = 'queue.Q.endpoints.pr = ["E"]\nendpoint.E.state = "ACTIVE"\n' + line
    found = doubts(load_site("Q", [toml(tmp_path, text)]), SPOKEN)
    assert any(said in doubt for doubt in found), found


def test_a_good_site_is_not_doubted(tmp_path: Path) -> None:
    """The sample, CRIC's keys that no pilot reads, and a scheme for which the queue names a mover."""
    assert doubts(load_site("LOCAL", [TOML]), SPOKEN) == ()
    assert doubts(load_site("SOUTHPOLE_MCORE", [QUEUES, ENDPOINTS]), SPOKEN) == ()
    text = (
        'queue.Q.endpoints.pr = ["E"]\nendpoint.E.protocols = ["mounted://x"]\n'
        'queue.Q.movers.pr = ["external:/site/mover"]'
    )
    assert doubts(load_site("Q", [toml(tmp_path, text)]), SPOKEN) == ()


def test_config_show_warns_of_what_looks_like_a_typing_error(tmp_path: Path) -> None:
    """On stderr, so that a script's answer stays whole."""
    source = toml(
        tmp_path, '[queue.Q]\nendpoints.pr = ["E"]\nsites = "X"\n[endpoint.E]\nprotocols = ["file:///x"]'
    )
    command = [
        sys.executable,
        "-m",
        "picard_pilot.cli.main",
        "config",
        "show",
        "queue.Q.panda_resource",
        "--json",
    ]
    shown = subprocess.run(
        [*command, "--queue", "Q", "--site-file", str(source.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"warning: {source.path}: queue.Q.sites: nobody knows this key; nearest: site" in shown.stderr
    assert json.loads(shown.stdout)["data"][0]["value"] == "Q"


PAGES = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "queue"),
    [
        ("storage.md", "MYSITE"),
        ("s3-and-rucio.md", "MYQUEUE"),
        ("write-a-mover.md", "SITE_NORTH"),
        ("inputs.md", "LOCAL"),
    ],
)
def test_the_site_files_of_the_pages_are_good_ones(tmp_path: Path, page: str, queue: str) -> None:
    """What people copy is read without an error, and nothing in it is doubted."""
    blocks = re.findall(r"```toml\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)
    site = load_site(queue, [toml(tmp_path, "\n".join(blocks))])
    assert (*site.notes, *doubts(site, tuple(SPEAKERS))) == ()
