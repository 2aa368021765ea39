"""The page for people's first own job, run as it stands; and the links of all pages."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from grid import ROOT

PAGES = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md") for path in ROOT.glob(pattern)
)


def test_the_page_for_a_first_job_can_be_followed(tmp_path: Path) -> None:
    """Every command in order, in one terminal; a pilot is killed on the way, and no result is lost."""
    page = (ROOT / "docs" / "first-job.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    *steps, stop = blocks
    assert stop == "ppilot server stop\n"
    done = subprocess.run(
        ["bash", "-c", f"set -eu\ntrap '{stop.strip()}' EXIT\n" + "".join(steps)],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "PICARD_SERVER_PORT": "0",  # the usual one may be taken here
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    storage = tmp_path / "picard" / "storage"
    assert (storage / "sorted.txt").read_text() == "1\n2\n3\n"
    assert (storage / "words.txt").read_text().strip() == "3"
    assert (storage / "late.txt").read_text()
    assert "no calibration for run 7" in done.stdout
    assert "pilot 1305 PAYLOADEXECUTIONFAILURE: the payload ended with exit code 7" in done.stdout
    assert done.stdout.count(" finished after running for") == 2
    assert "is stopped" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Files of this tree; what is elsewhere is not asked for."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    local = [link.partition("#")[0] for link in links if not re.match(r"https?://|#", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []
