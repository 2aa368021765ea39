"""Twenty failures of real jobs, recorded by a pilot, fail again in the same way from their log archives alone."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from grid import Grid
from picard_pilot.cli.main import main

PYTHON = sys.executable

SCRIPTS: dict[str, str] = {
    "plain exit": "import sys; sys.exit(7)",
    "exit 255": "import os; os._exit(255)",
    "exit 2 is no timeout": "import sys; print('usage', file=sys.stderr); sys.exit(2)",
    "uncaught exception": "def analyse():\n    return {}['muon_pt']\nanalyse()",
    "missing module": "import a_module_that_nobody_has",
    "syntax error": "for each in range(3)\n    print(each)",
    "missing file": "open('not-there.root', 'rb')",
    "abort": "import os; os.abort()",
    "segmentation fault": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "killed by itself": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "terminated by itself": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "out of memory in C++": "import sys; sys.exit(print('terminate called after throwing an instance of std::bad_alloc'"
    ", file=sys.stderr) or 134)",
    "missing library": "import sys; sys.exit(print('./reco: error while loading shared libraries: libCore.so: cannot"
    " open shared object file: No such file or directory', file=sys.stderr) or 127)",
    "assertion": "assert 1 == 2, 'events differ'",
    "recursion": "def f(n): return f(n + 1)\nf(0)",
    "its own words": "import json, sys\njson.dump({'error_code': 77, 'error_diag': 'no good luminosity block'},"
    " open('payload_error_report.json', 'w'))\nsys.exit(3)",
    "its report": "import json, sys\njson.dump({'exitCode': 65, 'exitAcronym': 'TRF_EXEC_FAIL', 'exitMsg': 'step reco"
    " failed'}, open('jobReport.json', 'w'))\nsys.exit(65)",
    "wrong environment": "import os, sys\nsys.exit(0 if os.environ.get('PANDAID') is None else 42)",
    "after reading its input": "import sys\ndata = open('events.txt').read()\nsys.exit(len(data))",
    "grandchild kept the pipe": "import subprocess, sys\nsubprocess.Popen(['sleep', '60'])\nsys.exit(9)",
}


def record(grid: Grid) -> dict[str, int]:
    """Run all of them with one pilot; the jobs by what goes wrong."""
    events = grid.put("events.txt", b"seventeen bytes..")
    jobs = {}
    for name, code in SCRIPTS.items():
        script = f"payload{len(jobs)}.py"
        checksum = grid.put(script, code.encode())
        files = {
            "inFiles": f"{script},events.txt",
            "checksum": f"{checksum},{events}",
            "fsize": f"{len(code)},17",
        }
        jobs[name] = grid.submit(PYTHON, script, scopeIn="test,test", **files)
    pilot = grid.pilot("--jobs", str(len(jobs)))
    assert pilot.wait(300) == 0, grid.output()[-3000:]
    return jobs


def replayed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """`ppilot job replay` with `--json`."""
    code = main(["job", "replay", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_twenty_failures_fail_again(grid: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the archive and the inputs, with the work directory and the storage gone."""
    jobs = record(grid)
    assert len(jobs) >= 20
    archives, inputs = tmp_path / "archives", tmp_path / "inputs"
    archives.mkdir()
    for job_id in jobs.values():
        shutil.copy(grid.store / f"log.{job_id}.tgz", archives)
    shutil.copytree(grid.store, inputs, ignore=shutil.ignore_patterns("*.tgz"))
    shutil.rmtree(grid.store)
    different = {}
    for name, job_id in jobs.items():
        target = tmp_path / f"replay of {job_id}"
        archive = str(archives / f"log.{job_id}.tgz")
        code, made = replayed(capsys, archive, "--inputs", str(inputs), "--dir", str(target))
        assert code == 0, (name, made)
        assert made["data"]["missing"] == [], name
        code, found = replayed(capsys, str(target), "--run")
        if code != 0 or not found["data"]["same"]:
            different[name] = found
    assert different == {}


def test_the_script_alone_tells_too(grid: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing but a shell: the same end is 0, another one is 4; and another input is refused by ours."""
    checksum = grid.put("bad.py", b"import sys; sys.exit(7)")
    files = {"inFiles": "bad.py", "checksum": checksum, "fsize": "23", "scopeIn": "test"}
    job_id = grid.submit(PYTHON, "bad.py", **files)
    assert grid.pilot().wait(60) == 0
    target = tmp_path / "again"
    code, made = replayed(capsys, str(grid.store / f"log.{job_id}.tgz"), "--dir", str(target))
    assert (code, made["data"]["expected"]["exit_code"]) == (0, 7)
    shell = subprocess.run(
        ["sh", target / "run.sh"], capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    assert (shell.returncode, "the same end" in shell.stdout) == (0, True), shell
    (target / "inputs" / "bad.py").write_text("import sys; sys.exit(8)")
    shell = subprocess.run(
        ["sh", target / "run.sh"], capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    assert (shell.returncode, "another end" in shell.stdout) == (4, True), shell
    code, refused = replayed(capsys, str(target), "--run")
    assert (code, "its checksum is" in refused["error"]["message"]) == (3, True)


def test_secrets_are_not_in_it(grid: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the pilot's token nor what its environment calls a secret, in no file of the directory.

    A variable that is no UTF-8, secret or not, does no harm.
    """
    secret = os.urandom(12).hex()
    job_id = grid.submit("/bin/false")
    latin = {
        "CITY": os.fsdecode(b"Orl\xe9ans"),
        "CITY_PASSWORD": os.fsdecode(b"Orl\xe9ans" + secret.encode()),
    }
    assert grid.pilot("--no-cleanup", SITE_PASSWORD=secret, HARMLESS="yes", **latin).wait(60) == 0
    target = tmp_path / "again"
    assert replayed(capsys, str(grid.job_dir(job_id)), "--dir", str(target))[0] == 0
    token = grid.token_file.read_text().strip()
    text = b"".join(path.read_bytes() for path in target.rglob("*") if path.is_file())
    assert secret.encode() not in text
    assert token.encode() not in text
    told = (target / "environment.txt").read_text()
    assert "HARMLESS=yes" in told
    assert "CITY" in told.splitlines()[-1]


@pytest.mark.parametrize("name", ["../out", "/tmp/w-out-of-archive", "a/../../out"])
def test_an_archive_cannot_write_elsewhere(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names that lead out of it are passed over; what is no archive is said to be none."""
    archive = tmp_path / "log.tgz"
    with tarfile.open(archive, "w:gz") as made:
        made.addfile(tarfile.TarInfo(name), io.BytesIO())
    code, told = replayed(capsys, str(archive), "--dir", str(tmp_path / "again"))
    assert (code, "no file" in told["error"]["message"]) == (3, True)
    assert not (tmp_path / "out").exists()
    assert not Path("/tmp/w-out-of-archive").exists()
    os.mkfifo(tmp_path / "pipe")
    assert replayed(capsys, str(tmp_path / "pipe"))[0] == 3
