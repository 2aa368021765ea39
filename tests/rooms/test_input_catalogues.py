"""The files from which payloads learn about their inputs."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from picard_pilot.model.bundle import Bundle
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.payload import jobdir
from picard_pilot.payload.input_catalogues import pool_catalogue, turl_list, write_catalogues

TURL = "root://door:1094//a/b.root?x=1&y=2"


def an_input(lfn: str, guid: str | None = None) -> FileSpec:
    """An input by name."""
    return FileSpec(lfn=lfn, role=FileRole.INPUT, scope="user.jdoe", guid=guid)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A fresh job directory."""
    return jobdir.make(tmp_path, 1, 1)


def test_both_files_are_written_with_turls_and_local_names(bundle: Bundle) -> None:
    """A file that is read where it is has its TURL, a copied one its name in the job's directory."""
    inputs = (an_input("b.root", "0A-1B"), an_input("small.root"))
    written = write_catalogues(bundle, inputs, {"b.root": TURL}, ("b.root", "small.root"))
    assert written.turls.read_text() == f"{TURL}\nsmall.root\n"
    assert written.variables() == {
        "PILOT_INPUT_TURLS": f"{bundle.directory}/input_turls.txt",
        "PILOT_POOL_FILE_CATALOG": f"{bundle.directory}/PoolFileCatalog.xml",
    }
    assert "<!DOCTYPE POOLFILECATALOG SYSTEM" in written.pool.read_text()
    first, second = ElementTree.parse(written.pool).getroot()
    assert first.attrib["ID"] == "0A-1B"
    assert first.find("physical/pfn").attrib == {"filetype": "ROOT_All", "name": TURL}  # type: ignore[union-attr]
    assert first.find("logical/lfn").attrib == {"name": "b.root"}  # type: ignore[union-attr]
    assert second.find("physical/pfn").attrib["name"] == "small.root"  # type: ignore[union-attr]


def test_an_input_without_guid_always_gets_the_same_key() -> None:
    """A repetition after a crash writes the same file; two files have two keys."""
    once, again = (ElementTree.fromstring(_body([an_input("a"), an_input("b")])) for _ in range(2))
    ids = [file.attrib["ID"] for file in once]
    assert ids == [file.attrib["ID"] for file in again]
    assert len(set(ids)) == 2
    assert [len(part) for part in ids[0].split("-")] == [8, 4, 4, 4, 12]


@pytest.mark.parametrize("name", ['a"b', "a<b>&amp;", "ü ö", "it's", "]]>", "--"])
def test_odd_names_are_escaped(name: str) -> None:
    """What a reader of XML gets back is the name itself."""
    (file,) = ElementTree.fromstring(_body([an_input(name, name)]))
    assert file.attrib["ID"] == name
    assert file.find("physical/pfn").attrib["name"] == name  # type: ignore[union-attr]


def test_writing_again_replaces_what_is_there(bundle: Bundle) -> None:
    """Also where a link stands in its place: nothing is written through it."""
    elsewhere = Path(bundle.directory).parent / "precious"
    elsewhere.write_text("precious")
    for name in ("input_turls.txt", "picard/input_turls.txt.new"):
        (Path(bundle.directory) / name).unlink(missing_ok=True)
    (Path(bundle.directory) / "input_turls.txt").symlink_to(elsewhere)
    for _ in range(2):
        written = write_catalogues(bundle, (an_input("a"),), {}, ())
    assert written.turls.read_text() == "a\n"
    assert not written.turls.is_symlink()
    assert elsewhere.read_text() == "precious"


def test_a_job_that_uses_the_names_itself_keeps_them(bundle: Bundle) -> None:
    """An input called PoolFileCatalog.xml stays what it is; ours is in the private directory."""
    own = Path(bundle.directory, "PoolFileCatalog.xml")
    own.write_text("the job's own")
    written = write_catalogues(bundle, (an_input(own.name),), {}, (own.name,))
    assert own.read_text() == "the job's own"
    assert written.pool == Path(bundle.private, own.name)
    assert written.variables()["PILOT_POOL_FILE_CATALOG"] == str(written.pool)


def test_no_inputs_make_an_empty_list() -> None:
    """Both forms are well-formed without a single file."""
    assert turl_list([]) == ""
    assert len(ElementTree.fromstring(_body([]))) == 0


def _body(inputs: list[FileSpec]) -> str:
    """The catalogue without its declaration of encoding, which a parser of text refuses."""
    return pool_catalogue([(file, file.lfn) for file in inputs]).partition("?>")[2]
