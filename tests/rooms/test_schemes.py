"""Which of an endpoint's protocols comes first: the queue's word, in TOML's and in CRIC's form."""

import json
from pathlib import Path

import pytest

from picard_pilot.data.destinations import destinations
from picard_pilot.data.sources import sources
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.site import Activity, Site
from picard_pilot.model.transfer import FileReplicas, Replica
from picard_pilot.site.errors import SiteError
from picard_pilot.site.load import SourceRef, load_site, source_for

JOB = Job(job_id=1, attempt_nr=1)

IN = FileSpec(lfn="f", role=FileRole.INPUT, scope="t")
OUT = FileSpec(lfn="f", role=FileRole.OUTPUT, scope="t")

TOML = """
[queue.Q]
panda_resource = "Q"
[queue.Q.endpoints]
pr = ["A"]
pw = ["A"]
pl = ["A"]
[queue.Q.schemes]
{schemes}
[endpoint.A]
paths = "flat"
protocols = ["file:///a", "https://a/x", "ROOT://a//x", "davs://a/x"]
"""


def site(folder: Path, schemes: str) -> Site:
    """A queue with one endpoint of four doors."""
    path = folder / "site.toml"
    path.write_text(TOML.format(schemes=schemes))
    return load_site("Q", [SourceRef("toml", path)])


def read_by(where: Site, **more: object) -> list[str]:
    """The schemes of the sources in their order."""
    return [place.surl.partition(":")[0] for place in sources(IN, where, **more).found]  # type: ignore[arg-type]


def written_by(where: Site, activity: str = Activity.WRITE) -> list[str]:
    """The same of destinations."""
    return [place.surl.partition(":")[0] for place in destinations(OUT, where, JOB, activity)]


def test_the_queues_order_counts_per_activity(tmp_path: Path) -> None:
    """What is not named comes after it, in the endpoint's order: no way to a file is lost."""
    where = site(tmp_path, 'pr = ["root", "davs"]\npw = ["davs"]')
    assert read_by(where) == ["ROOT", "davs", "file", "https"]
    assert written_by(where) == ["davs", "file", "https", "ROOT"]
    assert written_by(where, Activity.LOG) == ["davs", "file", "https", "ROOT"]  # as for the endpoints
    assert read_by(site(tmp_path, "")) == ["file", "https", "ROOT", "davs"]


def test_a_replica_that_the_catalogue_lists_here_is_read_in_that_order_too(tmp_path: Path) -> None:
    """The catalogue tells the path, the queue the door."""
    where = site(tmp_path, 'pr = ["root"]')
    listed = FileReplicas(scope="t", lfn="f", replicas=(Replica(surl="https://a/x/odd/f", rse="A"),))
    found = sources(IN, where, replicas=listed).found
    assert [place.surl for place in found] == [
        "ROOT://a//x/odd/f",
        "file:///a/odd/f",
        "https://a/x/odd/f",
        "davs://a/x/odd/f",
    ]


@pytest.mark.parametrize(
    ("said", "schemes"),
    [
        ({"pr": ["root", "davs"]}, {"pr": ("root", "davs")}),
        ({"pr": {"gfalcopy": ["webdav", "ROOT"], "xrdcp": ["root"]}}, {"pr": ("davs", "https", "root")}),
        ({"default": ["root"], "pw": [], "pl": None}, {"default": ("root",)}),
        (None, {}),
        ({}, {}),
        ("", {}),
    ],
)
def test_the_same_in_cric(tmp_path: Path, said: object, schemes: dict[str, tuple[str, ...]]) -> None:
    """A list for all copy tools, or one for each; WebDAV is two schemes; empty is unset."""
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"nickname": "Q", "panda_resource": "Q", "acopytools_schemas": said}))
    queue = load_site("Q", [source_for(path)]).queue
    assert queue.schemes == schemes
    assert "acopytools_schemas" not in queue.extra


@pytest.mark.parametrize("said", ["root", {"pr": "root"}, {"pr": [1]}, {"pr": {"rucio": "root"}}])
def test_a_bad_word_in_cric(tmp_path: Path, said: object) -> None:
    """Named with file and key, as all others."""
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"nickname": "Q", "panda_resource": "Q", "acopytools_schemas": said}))
    with pytest.raises(SiteError) as raised:
        load_site("Q", [source_for(path)])
    assert raised.value.what == f"{path}: the value of Q.acopytools_schemas cannot be used"
