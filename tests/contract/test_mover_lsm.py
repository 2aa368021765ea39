"""The lsm mover through the public suite, with scripts as a site would write them."""

import sys
from pathlib import Path

import pytest
from folder_storage import FolderStorage

from picard_pilot.testing.mover_suite import MoverSuite

COMMON = """
import errno, os, shutil, sys
from urllib.parse import unquote

def where(surl):
    return os.path.join({root!r}, unquote(surl.partition("://")[2]))

def end(error):
    known = {{errno.ENOENT: 2, errno.EACCES: 207, errno.ENOSPC: 213, errno.EFBIG: 213}}
    sys.exit(known.get(error.errno, 201))

print("a site's script greets", file=sys.stderr)
try:
"""
SCRIPTS = {
    "lsm-get": "shutil.copyfile(where(sys.argv[-2]), sys.argv[-1])",
    "lsm-put": "target = where(sys.argv[-1])\n"
    "    os.makedirs(os.path.dirname(target), exist_ok=True)\n"
    "    shutil.copyfile(sys.argv[-2], target)",
    "lsm-stat": "found = os.path.getsize(where(sys.argv[-1]))\n"
    "    sys.exit(203) if '--checksum' in sys.argv else print(found)",
    "lsm-rename": "os.rename(where(sys.argv[-2]), where(sys.argv[-1]))",
    "lsm-rm": "os.unlink(where(sys.argv[-1]))",
}
# Without a rename lsm-put answers for the final name by itself, as the convention has it.
CAREFUL_PUT = """target = where(sys.argv[-1])
    if os.path.exists(target):
        same = open(target, "rb").read() == open(sys.argv[-2], "rb").read()
        sys.exit(212 if same else 211)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    part = os.path.join(os.path.dirname(target), f".{os.getpid()}.part")
    shutil.copyfile(sys.argv[-2], part)
    os.link(part, target)
    os.unlink(part)"""


def write_scripts(folder: Path, root: Path, scripts: dict[str, str]) -> None:
    """The scripts of a site whose storage is the folder `root`."""
    folder.mkdir()
    for name, text in scripts.items():
        path = folder / name
        path.write_text(
            f"#!{sys.executable}\n{COMMON.format(root=str(root))}    {text}\nexcept OSError as error:\n    end(error)\n"
        )
        path.chmod(0o755)


class LsmSuite(MoverSuite):
    """The suite for one set of scripts."""

    reads_before_storing = True
    scripts: dict[str, str]

    @pytest.fixture(autouse=True)
    def site(self, tmp_path_factory: pytest.TempPathFactory) -> FolderStorage:
        """A fresh storage, and the mover named with the folder of its scripts."""
        made = FolderStorage(tmp_path_factory.mktemp("storage"))
        folder = tmp_path_factory.mktemp("site") / "bin"
        write_scripts(folder, made.root, self.scripts)
        self.mover_path = f"lsm:{folder}"
        return made

    @pytest.fixture
    def storage(self, site: FolderStorage) -> FolderStorage:
        """The site's storage."""
        return site


class TestAllScripts(LsmSuite):
    """A site that has all five scripts: temporary names, and everything is looked at."""

    scripts = SCRIPTS


class TestTwoScripts(LsmSuite):
    """A site with `lsm-get` and `lsm-put` only: what stands at the final name is its script's business."""

    scripts = {"lsm-get": SCRIPTS["lsm-get"], "lsm-put": CAREFUL_PUT}
    temporary_names = False
