"""The site room: queue and storage facts from TOML and CRIC files, merged, checked, explained."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.policy import AltStageOut
from picard_pilot.model.site import Activity, PathRule
from picard_pilot.site.errors import SiteError
from picard_pilot.site.load import SourceRef, explain, load_site, require_usable, source_for

SAMPLES = Path(__file__).parent.parent / "samples" / "queues"
TOML = SourceRef("toml", SAMPLES / "local.toml")
QUEUES = SourceRef("cric", SAMPLES / "cric_pandaqueues.json")
ENDPOINTS = SourceRef("cric", SAMPLES / "cric_ddmendpoints.json")


def toml(folder: Path, text: str, name: str = "site.toml") -> SourceRef:
    """A TOML source with this text."""
    path = folder / name
    path.write_text(text)
    return SourceRef("toml", path)


def test_the_sample_queue_is_read_whole() -> None:
    """The documented sample holds every key, and each arrives where the model wants it."""
    site = load_site("LOCAL", [TOML])
    queue = site.queue
    assert (queue.name, queue.panda_resource, queue.site) == ("LOCAL", "LOCAL", "LOCAL-SITE")
    assert queue.limits.maxtime_s == 172800
    assert queue.limits.timefloor_min == 60
    assert queue.experiment == "generic"
    assert queue.allow_symlink is True
    assert queue.endpoints_for(Activity.LOG) == ("pl", ("LOCAL_LOGDISK",))
    assert queue.movers_for(Activity.WRITE) == ("local",)
    assert queue.environment == {"LC_ALL": "C.UTF-8"}
    assert queue.extra == {}
    assert [pattern.path for pattern in queue.local_files] == [
        "/cvmfs/db.example/DBRelease/{1}/{0}",
        "/cvmfs/sw.example/FSRelease/{version}.tgz",
    ]
    disk = site.endpoints["LOCAL_DATADISK"]
    assert disk.prefixes_for(Activity.READ) == ("file:///srv/picard/datadisk/rucio",)
    assert (disk.paths, disk.checksum, disk.active) == (PathRule.RUCIO, ChecksumKind.ADLER32, True)
    logs = site.endpoints["LOCAL_LOGDISK"]
    assert logs.prefixes_for(Activity.LOG) == ("file:///srv/picard/logdisk",)
    assert logs.prefixes_for(Activity.READ) == ("file:///srv/picard/logdisk-read",)
    assert site.notes == ()
    require_usable(site)


def test_a_cric_export_of_queues_and_endpoints() -> None:
    """CRIC's words, numbers as text, 0 and -1 for no limit, and protocols per activity in their order."""
    site = load_site("SOUTHPOLE_MCORE", [QUEUES, ENDPOINTS])
    queue = site.queue
    assert queue.site == "SOUTHPOLE-T2"
    assert queue.limits.corecount == 8
    assert queue.limits.timefloor_min == 60
    assert queue.limits.maxinputsize_mb is None
    assert queue.allow_wan is None
    assert queue.direct_access_lan is True
    assert queue.environment == {
        "FRONTIER_ID": "[3]",
        "APPTAINER_TMPDIR": "/tmp/a b",
        "XRD_LOGLEVEL": "Info",
    }
    assert queue.movers_for(Activity.WRITE) == ("rucio", "gfal")
    assert queue.params == {"pilot_rss_grace": 50, "allow_altstageout": True, "nested": {"kept": 1}}
    assert queue.extra["a_key_from_tomorrow"] == ["kept", "as", "it", "is"]
    disk = site.endpoints["SOUTHPOLE_DATADISK"]
    root, davs = (
        "root://door.southpole.example:1094//data/rucio/",
        "davs://door.southpole.example:443/data/rucio/",
    )
    assert disk.prefixes_for(Activity.READ) == (root, davs)
    assert disk.prefixes_for(Activity.WRITE) == (davs, root)
    assert disk.prefixes_for(Activity.READ_WAN) == ()
    scratch = site.endpoints["SOUTHPOLE_SCRATCHDISK"]
    assert scratch.paths is PathRule.CATALOGUE
    assert scratch.prefixes_for(Activity.READ) == ("root://door.southpole.example:1094//scratch/",)
    assert [note.split(" ")[1] for note in site.notes] == ["FARAWAY_BROKENDISK"]


def test_one_queue_alone_in_a_file(tmp_path: Path) -> None:
    """The PanDA server's cache holds one queue per file, not keyed by name."""
    path = tmp_path / "LONELY.all.json"
    path.write_text('{"nickname": "LONELY", "panda_resource": "LONELY_RES", "copytools": {"mv": {}}}')
    queue = load_site("LONELY", [source_for(path)]).queue
    assert queue.panda_resource == "LONELY_RES"
    assert queue.movers_for(Activity.READ) == ("local",)


def test_a_later_source_overrules_an_earlier_one_key_by_key(tmp_path: Path) -> None:
    """An overlay changes what it names and nothing else, and the origins say so."""
    overlay = toml(
        tmp_path,
        """
        [queue.SOUTHPOLE_MCORE]
        experiment = "icecap"
        limits = { maxrss_mb = 16000 }
        endpoints = { pr = ["NODE_CACHE", "SOUTHPOLE_DATADISK"] }
        [endpoint.NODE_CACHE]
        protocols = ["file:///cache"]
        [endpoint.SOUTHPOLE_DATADISK]
        checksum = "md5"
        """,
    )
    site = load_site("SOUTHPOLE_MCORE", [QUEUES, ENDPOINTS, overlay])
    queue = site.queue
    assert (queue.limits.maxrss_mb, queue.limits.maxwdir_mb) == (16000, 80000)
    assert queue.endpoints["pr"] == ("NODE_CACHE", "SOUTHPOLE_DATADISK")
    assert queue.endpoints["pw"] == ("SOUTHPOLE_DATADISK",)
    assert queue.origins["limits.maxrss_mb"].source == "toml"
    assert queue.origins["limits.maxrss_mb"].detail.endswith(
        "site.toml: queue.SOUTHPOLE_MCORE.limits.maxrss_mb"
    )
    assert queue.origins["limits.maxwdir_mb"].source == "cric"
    disk = site.endpoints["SOUTHPOLE_DATADISK"]
    assert (disk.checksum, disk.paths) == (ChecksumKind.MD5, PathRule.RUCIO)
    rows = {row.key: row for row in explain(site)}
    assert rows["queue.SOUTHPOLE_MCORE.limits.maxrss_mb"].value == "16000"
    assert rows["queue.SOUTHPOLE_MCORE.allow_symlink"].origin.source == "default"
    assert rows["queue.SOUTHPOLE_MCORE.status"].origin.source == "cric"
    assert rows["endpoint.NODE_CACHE.protocols"].value == "file:///cache"
    assert rows["queue.SOUTHPOLE_MCORE.extra.vo_name"].origin.source == "cric"


def test_an_unknown_queue_is_answered_with_its_likely_name() -> None:
    """1116, the files that were read, and what was probably meant."""
    with pytest.raises(SiteError) as raised:
        load_site("SOUTHPOLE_MCOER", [QUEUES, TOML])
    assert raised.value.code == 1116
    assert "did you mean SOUTHPOLE_MCORE" in raised.value.evidence
    assert str(QUEUES.path) in raised.value.evidence
    assert len(str(raised.value).splitlines()) == 3
    assert raised.value.fault().code == 1116


def test_without_any_source_nothing_is_guessed() -> None:
    """1116, and how to name a file."""
    with pytest.raises(SiteError) as raised:
        load_site("LOCAL", [])
    assert raised.value.code == 1116
    assert "--site-file" in raised.value.next_step


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[queue.Q]\nstatus = 3", "queue.Q.status"),
        ("[queue.Q]\nlimits = 3", "queue.Q.limits"),
        ("[queue.Q]\n[queue.Q.limits]\nmaxtime_s = 0", "queue.Q.limits.maxtime_s"),
        ("[queue.Q]\n[queue.Q.limits]\nmaxrss_mb = true", "queue.Q.limits.maxrss_mb"),
        ('[queue.Q]\nendpoints = { pr = "DISK" }', "queue.Q.endpoints"),
        ("[queue.Q]\nallow_symlink = 1", "queue.Q.allow_symlink"),
        ('[queue.Q]\nrequired_guarantees = "own_process_space"', "queue.Q.required_guarantees"),
        ('[queue.Q]\nrequired_guarantees = ["secrecy"]', "queue.Q.required_guarantees"),
        ('[queue.Q]\nenvironment = { "A B" = "c" }', "queue.Q.environment"),
        ("[queue]\nQ = 1", "queue.Q"),
        ("queue = 1", "queue"),
        ('[queue.Q]\nendpoints.pr = ["E"]\n[endpoint.E]\nprotocols = ["/srv"]', "endpoint.E.protocols"),
        ("[queue.Q]\ndirect_access_threshold_mb = -1", "queue.Q.direct_access_threshold_mb"),
        ("[queue.Q]\ndirect_access_threshold_mb = 1.5", "queue.Q.direct_access_threshold_mb"),
        ('[queue.Q]\nalt_stage_out = "yes"', "queue.Q.alt_stage_out"),
        ('[queue.Q]\ntrace_url = "root://h:1094//x"', "queue.Q.trace_url"),
        ("[queue.Q.local_files]", "queue.Q.local_files"),
        ('[[queue.Q.local_files]]\nnames = "a"', "queue.Q.local_files"),
        ('[[queue.Q.local_files]]\nnames = "("\npath = "/a"', "queue.Q.local_files"),
        ('[[queue.Q.local_files]]\nnames = "a"\npath = "a"', "queue.Q.local_files"),
        ('[[queue.Q.local_files]]\nnames = "a"\npath = "/a/../b"', "queue.Q.local_files"),
        ('[[queue.Q.local_files]]\nnames = "a"\npath = "/a/{1}"', "queue.Q.local_files"),
        ('[[queue.Q.local_files]]\nnames = "a"\npath = "/a/{0.b}"', "queue.Q.local_files"),
        ('[[queue.Q.local_files]]\nnames = "a"\npath = "/a/{0"', "queue.Q.local_files"),
        ("[queue.Q.federation]\nmax_bytes = 1", "queue.Q.federation"),
        ('[queue.Q.federation]\nredirector = "host"', "queue.Q.federation"),
        ('[queue.Q.federation]\nredirector = "root://h//a"\nmax_bytes = 0', "queue.Q.federation"),
        ('[queue.Q.federation]\nredirector = "root://h//a"\npaths = "catalogue"', "queue.Q.federation"),
        ('[queue.Q.federation]\nredirector = "root://h//a"\nmaxbytes = 1', "queue.Q.federation"),
        (
            '[queue.Q]\nendpoints.pr = ["E"]\n[endpoint.E]\nprotocols = ["file://srv/x"]',
            "endpoint.E.protocols",
        ),
        (
            '[queue.Q]\nendpoints.pr = ["E"]\n[endpoint.E]\nprotocols = ["file:///srv/../etc"]',
            "endpoint.E.protocols",
        ),
        ('[queue.Q]\nendpoints.pr = ["E"]\n[endpoint.E]\nchecksum = "crc"', "endpoint.E.checksum"),
        ('[queue.Q]\nendpoints.pr = ["E"]\n[endpoint.E]\npaths = "hash"', "endpoint.E.paths"),
    ],
)
def test_a_bad_value_is_named_with_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    """1117, the file, the key, what was found and what it should be."""
    source = toml(tmp_path, text)
    with pytest.raises(SiteError) as raised:
        load_site("Q", [source])
    assert raised.value.code == 1117
    assert raised.value.what == f"{source.path}: the value of {key} cannot be used"
    assert "must be" in raised.value.evidence


def test_a_bad_value_in_cric_is_named_too() -> None:
    """CRIC is loose, but words are no number of seconds."""
    with pytest.raises(SiteError) as raised:
        load_site("SOUTHPOLE_BROKEN", [QUEUES])
    assert raised.value.code == 1117
    assert "SOUTHPOLE_BROKEN.maxtime" in raised.value.what
    assert "two days" in raised.value.evidence


@pytest.mark.parametrize(
    ("queue", "code", "word"), [("SOUTHPOLE_OLD", 1359, "DISABLED"), ("SOUTHPOLE_TEST", 1386, "offline")]
)
def test_a_queue_that_takes_no_jobs(queue: str, code: int, word: str) -> None:
    """State and status have a number each, and the evidence says who said so."""
    site = load_site(queue, [QUEUES])
    with pytest.raises(SiteError) as raised:
        require_usable(site)
    assert raised.value.code == code
    assert word in raised.value.evidence
    assert str(QUEUES.path) in raised.value.evidence


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("absent.toml", None, 1116),
        ("bad.toml", "[queue", 1117),
        ("bad.json", "{", 1117),
        ("html.json", "<html>Sorry</html>", 1117),
        ("empty.json", "{}", 1117),
        ("list.json", "[1, 2]", 1117),
        ("binary.toml", "\x00\x01", 1117),
    ],
)
def test_a_file_that_is_no_site_file(tmp_path: Path, name: str, content: str | None, code: int) -> None:
    """Absent, cut off, of another kind: an error in three lines that names the file."""
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(SiteError) as raised:
        load_site("Q", [source_for(path)])
    assert raised.value.code == code
    assert str(path) in str(raised.value)


def test_a_file_of_unknown_kind() -> None:
    """The ending decides, and an unknown one is said."""
    with pytest.raises(SiteError) as raised:
        source_for(Path("queues.yaml"))
    assert ".toml" in raised.value.evidence


def test_a_source_of_unknown_name(tmp_path: Path) -> None:
    """A misspelt kind of source is answered with the known ones."""
    with pytest.raises(SiteError) as raised:
        load_site("Q", [SourceRef("crick", tmp_path)])
    assert "cric" in raised.value.evidence


def test_an_endpoint_that_nobody_describes_is_noted(tmp_path: Path) -> None:
    """It may be a typing error: the nearest known name stands beside it."""
    text = '[queue.Q]\nendpoints.pr = ["DATADSK"]\n[endpoint.DATADISK]\nprotocols = ["file:///srv"]'
    site = load_site("Q", [toml(tmp_path, text)])
    assert site.notes == ("nothing is known about the endpoint DATADSK of queue Q; nearest: DATADISK",)


def test_a_file_without_any_queue_says_so(tmp_path: Path) -> None:
    """`[queues.Q]` is a table that nobody reads."""
    with pytest.raises(SiteError) as raised:
        load_site("Q", [toml(tmp_path, "[queues.Q]")])
    assert "no queue is described there" in raised.value.evidence


def test_the_sample_needs_nothing_beside_it(tmp_path: Path) -> None:
    """A copy of the sample under another name is read just the same: people start from it."""
    copy = tmp_path / "mine.toml"
    shutil.copy(TOML.path, copy)
    assert load_site("LOCAL", [source_for(copy)]).queue.limits == load_site("LOCAL", [TOML]).queue.limits


def test_config_show_tells_the_origin_of_every_fact() -> None:
    """What people see: the queue's facts beside the settings, each with the file and key it came from."""
    key = "queue.LOCAL.limits.maxrss_mb"
    command = [sys.executable, "-m", "picard_pilot.cli.main", "config", "show", key, "--json"]
    shown = subprocess.run(
        [*command, "--queue", "LOCAL", "--site-file", str(TOML.path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (row,) = json.loads(shown.stdout)["data"]
    assert row["value"] == "4000"
    assert row["origin"] == f"toml {TOML.path}: {key}"


DATA_FACTS = """
[queue.Q]
direct_access_threshold_mb = 100
alt_stage_out = "force"
trace_url = "https://traces.example/t"
register_outputs = true
[queue.Q.endpoints]
read_alternative = ["E"]
write_alternative = ["E"]
[queue.Q.federation]
redirector = "root://redirector.example:1094//atlas"
paths = "flat"
max_bytes = 5000
[[queue.Q.local_files]]
names = "a(.*)"
path = "/cvmfs/{1}"
[endpoint.E]
protocols = ["file:///srv"]
"""


def test_what_a_queue_says_about_its_data(tmp_path: Path) -> None:
    """Threshold, alternatives, federation and files on the node, each with its origin."""
    site = load_site("Q", [toml(tmp_path, DATA_FACTS)])
    queue = site.queue
    assert queue.direct_access_threshold_bytes == 100 << 20
    assert queue.alt_stage_out is AltStageOut.FORCE
    assert queue.trace_url == "https://traces.example/t"
    assert queue.register_outputs
    assert queue.endpoints_for(Activity.READ_ALTERNATIVE) == ("read_alternative", ("E",))
    assert queue.endpoints_for(Activity.WRITE_ALTERNATIVE) == ("write_alternative", ("E",))
    assert queue.federation is not None
    assert (queue.federation.paths, queue.federation.max_bytes) == (PathRule.FLAT, 5000)
    rows = {row.key: row for row in explain(site)}
    assert rows["queue.Q.local_files"].value == "a(.*) -> /cvmfs/{1}"
    assert rows["queue.Q.local_files"].origin.detail.endswith("site.toml: queue.Q.local_files")
    assert rows["queue.Q.federation"].value == (
        "root://redirector.example:1094//atlas (flat paths, at most 5000 bytes per job)"
    )
    assert rows["queue.Q.direct_access_threshold_bytes"].origin.source == "toml"


@pytest.mark.parametrize(
    ("entry", "alternative", "redirector", "key"),
    [
        ({"params": {"allow_altstageout": True}}, AltStageOut.ON, None, "params.allow_altstageout"),
        ({"params": {"allow_altstageout": "false"}}, AltStageOut.OFF, None, "params.allow_altstageout"),
        ({"catchall": "a=b,force_alt_stageout"}, AltStageOut.FORCE, None, "catchall"),
        ({"catchall": "allow_alt_stageout;x"}, AltStageOut.ON, None, "catchall"),
        ({"faxredirector": "root://r:1094//atlas", "allowfax": "retry"}, None, "root://r:1094//atlas", None),
        ({"faxredirector": "root://r:1094//atlas", "allowfax": False}, None, None, None),
        ({"faxredirector": "", "allowfax": True}, None, None, None),
        ({"catchall": "faxredirector=root://r//x,allowfax=True"}, None, "root://r//x", None),
    ],
)
def test_what_cric_says_about_alternatives(
    tmp_path: Path,
    entry: dict[str, object],
    alternative: AltStageOut | None,
    redirector: str | None,
    key: str | None,
) -> None:
    """CRIC keeps these among its params, in its catchall, or as keys of old."""
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"nickname": "Q", "panda_resource": "Q", **entry}))
    queue = load_site("Q", [source_for(path)]).queue
    assert queue.alt_stage_out is alternative
    assert (queue.federation.redirector if queue.federation else None) == redirector
    if key:
        assert queue.origins["alt_stage_out"].detail.endswith(f"Q.{key}")


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"params": {"allow_altstageout": "perhaps"}}, "Q.params.allow_altstageout"),
        ({"faxredirector": "redirector", "allowfax": True}, "Q.faxredirector"),
    ],
)
def test_bad_words_about_alternatives_in_cric(tmp_path: Path, entry: dict[str, object], key: str) -> None:
    """Named with their file and key, as all others."""
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"nickname": "Q", "panda_resource": "Q", **entry}))
    with pytest.raises(SiteError) as raised:
        load_site("Q", [source_for(path)])
    assert raised.value.what == f"{path}: the value of {key} cannot be used"
