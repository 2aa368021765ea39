"""Hostile and broken job descriptions through a real pilot: refused by name, reported, and nothing written outside."""

import zlib

import pytest
from hostile_kit import ABSENT, corrupt, picture, verdict

from grid import Grid

NUL = "\0"
INPUTS = {
    "inFiles": "a,b", "scopeIn": "t,t", "GUID": "G1,G2", "fsize": "1,1", "checksum": "ad:00620062,ad:00630063",
    "realDatasetsIn": "d,d", "ddmEndPointIn": "DISK,DISK", "prodDBlockToken": "NULL,NULL",
}  # fmt: skip
OUTPUTS = {
    "outFiles": "x,y", "scopeOut": "t,t", "realDatasets": "d,d", "ddmEndPointOut": "DISK,DISK",
    "destinationDBlockToken": "NULL,NULL", "logFile": "", "scopeLog": "",
}  # fmt: skip

# What is wrong, in the description's own words: the changed fields, the code it is reported with, and the field
# that the message must name.
HOSTILE: dict[str, tuple[dict[str, object], int, str]] = {
    # Names that lead elsewhere
    "input with a path": ({**INPUTS, "inFiles": "a,../b"}, 1302, "inFiles"),
    "input with an absolute path": ({**INPUTS, "inFiles": "/etc/passwd,b"}, 1302, "inFiles"),
    "input named like a directory": ({**INPUTS, "inFiles": "..,b"}, 1302, "inFiles"),
    "input with a backslash": ({**INPUTS, "inFiles": "a\\b,b"}, 1302, "inFiles"),
    "output with a path": ({**OUTPUTS, "outFiles": "x,../../y"}, 1371, "outFiles"),
    "output with an absolute path": ({**OUTPUTS, "outFiles": "x,/tmp/y"}, 1371, "outFiles"),
    "log with a path": ({"logFile": "../../log.tgz"}, 1371, "logFile"),
    "log with an absolute path": ({"logFile": "/tmp/log.tgz"}, 1371, "logFile"),
    "log named like a directory": ({"logFile": ".."}, 1371, "logFile"),
    # Names that are not fit for a file
    "input with a new line": ({**INPUTS, "inFiles": "a\n,b"}, 1302, "inFiles"),
    "output with an escape": ({**OUTPUTS, "outFiles": "x,\x1b[2Jy"}, 1371, "outFiles"),
    "input with a NUL": ({**INPUTS, "inFiles": f"a{NUL},b"}, 1302, "inFiles"),
    "log with a NUL": ({"logFile": f"log{NUL}.tgz"}, 1302, "logFile"),
    "input without a name": ({**INPUTS, "inFiles": "a,"}, 1302, "inFiles"),
    "input with a long name": ({**INPUTS, "inFiles": "a," + "b" * 256}, 1190, "inFiles"),
    "output with a long name": ({**OUTPUTS, "outFiles": "x," + "y" * 5000}, 1190, "outFiles"),
    "log with a long name": ({"logFile": "l" * 256}, 1190, "logFile"),
    # Names that are somebody else's
    "input named picard": ({**INPUTS, "inFiles": "a,picard"}, 1302, "inFiles"),
    "input named payload.stdout": ({**INPUTS, "inFiles": "a,payload.stdout"}, 1302, "inFiles"),
    "input named pilotlog.txt": ({**INPUTS, "inFiles": "a,pilotlog.txt"}, 1302, "inFiles"),
    "output named picard": ({**OUTPUTS, "outFiles": "x,picard"}, 1371, "outFiles"),
    "log named picard": ({"logFile": "picard"}, 1371, "outFiles"),
    "two outputs of one name": ({**OUTPUTS, "outFiles": "x,x"}, 1371, "outFiles"),
    "two inputs of one name": ({**INPUTS, "inFiles": "a,a"}, 1302, "inFiles"),
    "output named like an input": ({**INPUTS, **OUTPUTS, "outFiles": "a,y"}, 1371, "outFiles"),
    # Numbers
    "negative size": ({**INPUTS, "fsize": "1,-1"}, 1302, "fsize"),
    "size that is no number": ({**INPUTS, "fsize": "1,many"}, 1302, "fsize"),
    "size beyond all disks": ({**INPUTS, "fsize": "1,99999999999999999999"}, 1302, "fsize"),
    "negative cores": ({"coreCount": -1}, 1302, "coreCount"),
    "negative memory": ({"minRamCount": -1}, 1302, "minRamCount"),
    "half a core": ({"coreCount": 0.5}, 1302, "coreCount"),
    # Lists of different lengths
    "too few sizes": ({**INPUTS, "fsize": "1"}, 1312, "fsize"),
    "too many scopes": ({**INPUTS, "scopeIn": "t,t,t"}, 1312, "scopeIn"),
    "too few checksums": ({**INPUTS, "checksum": "ad:00620062"}, 1312, "checksum"),
    "too many GUIDs": ({**INPUTS, "GUID": "1,2,3"}, 1312, "GUID"),
    "too few endpoints": ({**OUTPUTS, "ddmEndPointOut": "DISK"}, 1312, "ddmEndPointOut"),
    # Missing fields
    "no transformation": ({"transformation": ABSENT}, 1311, "transformation"),
    "empty transformation": ({"transformation": ""}, 1311, "transformation"),
    "no attempt number": ({"attemptNr": None}, 1311, "attemptNr"),
    # Wrong types
    "parameters in a list": ({"jobPars": ["-n", "1"]}, 1302, "jobPars"),
    "inputs in a list": ({**INPUTS, "inFiles": ["a", "b"]}, 1302, "inFiles"),
    "sizes in an object": ({**INPUTS, "fsize": {"a": 1}}, 1302, "fsize"),
    "cores as text": ({"coreCount": "four"}, 1302, "coreCount"),
    "transformation as number": ({"transformation": 7}, 1302, "transformation"),
    "log as a flag": ({"logFile": True}, 1302, "logFile"),
    "debug as text": ({"debug": "perhaps"}, 1302, "debug"),
    "checksum of another kind": ({**INPUTS, "checksum": "sha256:0,sha256:1"}, 1314, "checksum"),
    # Programs and parameters
    "NUL in the parameters": ({"jobPars": f"-n 1{NUL}2"}, 1302, "jobPars"),
    "NUL in the transformation": ({"transformation": f"/bin/true{NUL}"}, 1302, "transformation"),
    "half a character": ({"jobPars": "\ud800"}, 1302, "jobPars"),
    "a command after a semicolon": ({"jobPars": "1; touch OUTSIDE/shell"}, 1302, "jobPars"),
    "a pipe": ({"jobPars": "1 | tee OUTSIDE/shell"}, 1302, "jobPars"),
    "a redirection": ({"jobPars": "1 > OUTSIDE/shell"}, 1302, "jobPars"),
    "a substitution": ({"jobPars": "$(touch OUTSIDE/shell)"}, 1302, "jobPars"),
    "a substitution in quotes": ({"jobPars": '"`touch OUTSIDE/shell`"'}, 1302, "jobPars"),
    "a background command": ({"jobPars": "1 & touch OUTSIDE/shell"}, 1302, "jobPars"),
    "an open quote": ({"jobPars": "'never closed"}, 1302, "jobPars"),
    "an operator in the transformation": ({"transformation": "/bin/true; touch OUTSIDE/shell"}, 1302, "transformation"),
    "ten megabytes of parameters": ({"jobPars": "x " * 5_000_000}, 1302, "jobPars"),
}  # fmt: skip

HARMLESS: dict[str, dict[str, object]] = {
    "operators in quotes": {"jobPars": "'; touch OUTSIDE/shell' '$(touch OUTSIDE/shell)' \\; '&' '>'"},
    "a dollar": {"jobPars": "$HOME ${HOME} $1"},
    "a star and a tilde": {"jobPars": "* ~ ? [a]"},
    "unknown fields": {"jobName": "'; DROP TABLE jobs; --", "whatever": {"deep": [1, 2, {"er": None}]}},
    "a hundred thousand characters": {"jobPars": "x" * 100_000},
    "text that is not Latin": {"jobPars": "μμ 質量 'Z→μμ'", "jobName": "Z→μμ"},
}
"""What only looks hostile: it runs, and does nothing but its own work."""


def test_each_hostile_description_is_refused_by_name_and_the_pilot_goes_on(grid: Grid) -> None:
    """The field is named, the code is right, nothing is written outside, and the good jobs between them are done."""
    outside = grid.directory / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")

    def submit(changes: dict[str, object]) -> int:
        job_id = grid.submit("/bin/true")
        fitting = {
            name: value.replace("OUTSIDE", str(outside)) if isinstance(value, str) else value
            for name, value in changes.items()
        }
        corrupt(grid, job_id, **fitting)
        return job_id

    hostile = {name: submit(changes) for name, (changes, _, _) in HOSTILE.items()}
    harmless = {name: submit(changes) for name, changes in HARMLESS.items()}
    last = grid.submit("/bin/true")
    before = picture(grid.directory, grid.workdir, grid.store, grid.directory / "pilot-0.out")
    pilot = grid.pilot()
    assert pilot.wait(120) == 0, grid.output()[-3000:]
    assert picture(grid.directory, grid.workdir, grid.store, grid.directory / "pilot-0.out") == before

    assert grid.wait_status(last, "finished", "failed") == "finished", grid.output()
    for name, job_id in harmless.items():
        assert grid.wait_status(job_id, "finished", "failed") == "finished", (name, grid.errors(job_id))
    told = {}
    for name, job_id in hostile.items():
        status, code, diag = verdict(grid, job_id)
        told[name] = (status, code, HOSTILE[name][2] if HOSTILE[name][2] in diag else diag)
    assert told == {name: ("failed", code, field) for name, (_, code, field) in HOSTILE.items()}
    assert "Traceback" not in grid.output()
    # Nothing but the pilot's logs, account and receipt is left there, nothing but log archives in the storage.
    assert sorted(path.name for path in grid.workdir.iterdir()) == [
        "pandaIDs.out", "picard-ledger", "pilot_cost.json", "pilot_heartbeat.json", "pilotlog.txt",
        "transferlog.txt",
    ]  # fmt: skip
    assert {path.name.partition(".")[0] for path in grid.store.iterdir()} <= {"log"}


@pytest.mark.parametrize(
    "name", ["journal.jsonl", "lease.json", "report.json", "status.json", "reserve", "launch"]
)
def test_a_log_named_like_a_record_of_the_pilot_harms_none(grid: Grid, name: str) -> None:
    """The archive is an archive, and the job ends as usual."""
    job_id = grid.submit("/bin/true", logFile=name)
    assert grid.pilot("--jobs", "1").wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (grid.store / name).read_bytes()[:2] == b"\x1f\x8b"


@pytest.mark.parametrize("scope", ["../../outside", "a/../../b", ".."])
def test_a_scope_that_leads_out_of_the_storage_is_refused(grid: Grid, scope: str) -> None:
    """Scopes become directories on the storage: not one file is written beside it."""
    grid.site_file.write_text(grid.site_file.read_text().replace('paths = "flat"', 'paths = "rucio"'))
    job_id = grid.submit_python("open('out.txt', 'w').write('x')\n")
    corrupt(
        grid, job_id, outFiles="out.txt", scopeOut=scope, ddmEndPointOut="DISK", realDatasets="d", logFile=""
    )
    before = picture(grid.directory, grid.workdir, grid.directory / "pilot-0.out")
    assert grid.pilot("--jobs", "1").wait(60) == 0, grid.output()
    assert picture(grid.directory, grid.workdir, grid.directory / "pilot-0.out") == before
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    code, diag = grid.errors(job_id)["pilot"]
    assert code in (1137, 1302, 1371), (code, diag)
    assert scope in diag


def test_five_thousand_inputs_are_staged_in(grid: Grid) -> None:
    """Every one is there, none is forgotten, and it does not take for ever."""
    count = 5000
    names = [f"in.{number:04d}" for number in range(count)]
    for name in names:
        (grid.store / name).write_bytes(name.encode())
    job_id = grid.submit_python(
        "import os\n"
        "found = [name for name in os.listdir('.') if name.startswith('in.') and open(name).read() == name]\n"
        f"raise SystemExit(len(found) != {count})\n",
        inFiles=",".join(names),
        fsize=",".join(["7"] * count),
        checksum=",".join(f"ad:{zlib.adler32(name.encode()):08x}" for name in names),
        scopeIn=",".join(["t"] * count),
        GUID=",".join(["G"] * count),
        ddmEndPointIn=",".join(["DISK"] * count),
        realDatasetsIn=",".join(["d"] * count),
    )
    assert grid.pilot("--jobs", "1").wait(120) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)


def test_outputs_named_like_the_payload_s_streams_and_report_are_stored(grid: Grid) -> None:
    """They are the payload's own files, and whole when it has ended."""
    job_id = grid.submit_python(
        "print('words')\nopen('jobReport.json', 'w').write('{\"exitCode\": 0}')\n",
        outFiles="payload.stdout,jobReport.json", scopeOut="t,t",
    )  # fmt: skip
    assert grid.pilot("--jobs", "1").wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (grid.store / "payload.stdout").read_text() == "words\n"
    assert (grid.store / "jobReport.json").read_text() == '{"exitCode": 0}'


def test_an_output_named_like_the_pilot_s_log_is_refused(grid: Grid) -> None:
    """It is written until the very end, so that no copy of it could be whole; the field is named."""
    job_id = grid.submit("/bin/true")
    corrupt(grid, job_id, **{**OUTPUTS, "outFiles": "x,pilotlog.txt"})
    assert grid.pilot("--jobs", "1").wait(60) == 0, grid.output()[-3000:]
    status, code, diag = verdict(grid, job_id)
    assert (status, code) == ("failed", 1371), diag
    assert "outFiles" in diag
