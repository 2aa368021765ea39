"""The external mover through the public suite, with the example of the documentation as its program."""

from pathlib import Path

import pytest
from folder_storage import FolderStorage

from picard_pilot.cli.exits import Exit
from picard_pilot.cli.main import main
from picard_pilot.testing.mover_check import examine
from picard_pilot.testing.mover_suite import MoverSuite

EXAMPLE = Path(__file__).parents[2] / "examples" / "external-mover" / "folder-mover"


@pytest.fixture
def storage_of_the_page(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> FolderStorage:
    """A fresh directory, named to the program as its page says."""
    made = FolderStorage(tmp_path_factory.mktemp("storage"))
    monkeypatch.setenv("SITE_MOUNT", str(made.root))
    return made


class TestExample(MoverSuite):
    """The page's example is a conforming mover."""

    mover_path = f"external:{EXAMPLE}"
    reads_before_storing = True

    @pytest.fixture
    def storage(self, storage_of_the_page: FolderStorage) -> FolderStorage:
        """A fresh directory."""
        return storage_of_the_page


def test_the_check_of_the_page(storage_of_the_page: FolderStorage) -> None:
    """`ppilot plugin check` finds nothing wrong with the example, and it leaves the storage as it was."""
    findings = examine(f"external:{EXAMPLE}", "mounted://scratch")
    assert [finding for finding in findings if not finding.holds] == []
    assert len(findings) > 10
    assert [path for path in storage_of_the_page.root.rglob("*") if path.is_file()] == []


def test_the_check_finds_what_is_wrong(storage_of_the_page: FolderStorage, tmp_path: Path) -> None:
    """A copy that stops in the middle, and a destination that is overwritten, are found and named."""
    bad = tmp_path / "bad-mover"
    text = EXAMPLE.read_text()
    half = "open(ask['path'], 'wb').write(open(where(ask['surl']), 'rb').read()[:-1])"
    text = text.replace('shutil.copyfile(where(ask["surl"]), ask["path"])', half)
    text = text.replace('["fetch", "store", "stat", "rename", "remove"]', '["fetch", "store"]')
    bad.write_text(text)
    bad.chmod(0o755)
    found = {finding.check: finding for finding in examine(f"external:{bad}", "mounted://scratch")}
    assert found["stores a file and says what it measured"].holds
    assert not found["never overwrites another file (errno EEXIST)"].holds
    assert not found["fetches what it stored"].holds
    assert "it answered Transferred" in found["fetches what it stored"].says


def test_a_mover_is_not_checked_without_a_storage(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line says what is missing."""
    assert main(["plugin", "check", "--kind", "mover", "local"]) == Exit.USAGE
    assert "--storage" in capsys.readouterr().err


def test_a_storage_that_takes_nothing_is_told_once() -> None:
    """What fails because nothing was stored would only say the same again."""
    (finding,) = examine(f"external:{EXAMPLE}", "mounted://scratch")
    assert not finding.holds and "SITE_MOUNT" in finding.says


def test_the_page_shows_the_example_as_it_is() -> None:
    """What people read is what is tested."""
    page = EXAMPLE.parents[2] / "docs" / "write-a-mover.md"
    assert f"```python\n{EXAMPLE.read_text()}```" in page.read_text()
