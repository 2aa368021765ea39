"""Files that lie on the node: from names to paths, by configuration alone, and never anywhere else."""

import pytest

from picard_pilot.data.node_files import KnownPatterns, NodeFiles
from picard_pilot.model.site import LocalFiles
from picard_pilot.model.templates import TemplateError, check_template, path_for
from picard_pilot.model.transfer import SourceKind

DBRELEASE = LocalFiles(
    names=r"DBRelease-([0-9.]+)\.tar\.gz", path="/cvmfs/db.example/database/DBRelease/{1}/{0}"
)
FSRELEASE = LocalFiles(names=r"FSRelease-(?P<version>.+)\.tgz", path="/cvmfs/sw.example/{version}/fs.tgz")
ANY = LocalFiles(names="(.*)", path="/cache/{1}")


def test_database_and_file_system_releases_are_configuration() -> None:
    """One row each; no code knows their names."""
    files = NodeFiles({}, [KnownPatterns("queue Q", (DBRELEASE, FSRELEASE))])
    (first,) = files.copies_of("DBRelease-31.8.1.tar.gz").places
    (second,) = files.copies_of("FSRelease-0.7.tgz").places
    assert first.surl == "file:///cvmfs/db.example/database/DBRelease/31.8.1/DBRelease-31.8.1.tar.gz"
    assert second.surl == "file:///cvmfs/sw.example/0.7/fs.tgz"
    assert first.kind is SourceKind.NODE
    assert "queue Q" in first.reason
    assert files.copies_of("AOD.root").places == ()


def test_the_experiments_own_word_comes_first_and_each_path_once() -> None:
    """Hook, then the queue's patterns, then the experiment's."""
    files = NodeFiles(
        {"in": "/here/in"},
        [
            KnownPatterns("queue Q", (ANY,)),
            KnownPatterns("experiment E", (ANY, LocalFiles(names="in", path="/e/{0}"))),
        ],
    )
    assert [place.surl for place in files.copies_of("in").places] == [
        "file:///here/in",
        "file:///cache/in",
        "file:///e/in",
    ]


@pytest.mark.parametrize("lfn", ["..", ".", "", "a/b", "../../etc/passwd", "nul\0"])
def test_a_hostile_name_leads_nowhere(lfn: str) -> None:
    """Whatever a group matched, the path stays below its template, or there is none."""
    found = NodeFiles({}, [KnownPatterns("queue Q", (ANY,))]).copies_of(lfn)
    assert found.places == ()
    assert "not used" in found.refused[0] or lfn == ""


@pytest.mark.parametrize("name", ["a b%20", "ü", "{0}", "a'b", "$(x)"])
def test_an_odd_name_is_quoted(name: str) -> None:
    """It is a name and nothing else."""
    (place,) = NodeFiles({}, [KnownPatterns("queue Q", (ANY,))]).copies_of(name).places
    assert " " not in place.surl
    assert place.surl.count("/") == 4


@pytest.mark.parametrize("path", ["relative/in", "/a/../in", "/a//in", "/nul\0", ""])
def test_a_bad_path_of_the_experiment(path: str) -> None:
    """Not used, and said."""
    found = NodeFiles({"in": path}).copies_of("in")
    assert found.places == ()
    assert "not a plain absolute path" in found.refused[0]


@pytest.mark.parametrize(
    ("names", "path", "why"),
    [
        ("(", "/a", "no regular expression"),
        ("a", "a", "not absolute"),
        ("a", "/a/../b", "'..'"),
        ("a", "/a/./b", "'.'"),
        ("a", "/a//b", "''"),
        ("a", "/a/{1}", "{1}"),
        ("a", "/a/{name}", "{name}"),
        ("(a)", "/a/{1.__class__}", "{1.__class__}"),
        ("a", "/a/{", "brace"),
        ("a", "/a/}", "brace"),
        ("a", "/a\0", "NUL"),
    ],
)
def test_a_bad_pattern_is_refused_with_its_reason(names: str, path: str, why: str) -> None:
    """Also when it comes from a plug-in, which no reader has checked."""
    pattern = LocalFiles(names=names, path=path)
    with pytest.raises(TemplateError):
        check_template(pattern)
    (says,) = NodeFiles({}, [KnownPatterns("experiment E", (pattern,))]).copies_of("a").refused
    assert why in says
    assert "experiment E" in says


def test_the_whole_name_must_match() -> None:
    """A part of a name is another name; a group that took no part is empty."""
    assert path_for("xDBRelease-1.tar.gz", DBRELEASE) is None
    assert path_for("DBRelease-1.tar.gz.2", DBRELEASE) is None
    assert path_for("a", LocalFiles(names="a(b)?", path="/c/a{1}")) == "/c/a"
