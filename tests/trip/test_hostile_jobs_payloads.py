"""Payloads that attack their own pilot, which runs as the same user: what is promised, with real processes.

Nothing keeps a payload from writing into the pilot's files. The promise is that whatever it does there costs its own
job alone: that is reported, the pilot neither hangs nor dies of it, nothing is written elsewhere, and nothing of the
payload survives.
"""

import os
import shutil
import tarfile
from pathlib import Path

import pytest
from hostile_kit import picture

from grid import Grid

OUTPUT = {"outFiles": "out.$PANDAID.txt", "scopeOut": "t"}
NAME = "out = 'out.' + os.environ['PANDAID'] + '.txt'\n"
WRITE = "import os\n" + NAME + "open(out, 'w').write('saved')\n"

# What a payload does to its surroundings (in Python), how its job ends, and with which pilot error.
DEEDS: dict[str, tuple[str, str, int]] = {
    # What it says about itself
    "a report that is a link": ("os.symlink('/etc/passwd', 'jobReport.json')", "finished", 0),
    "a report that is a pipe": ("os.mkfifo('jobReport.json')", "finished", 0),
    "a report that is a directory": ("os.mkdir('jobReport.json')", "finished", 0),
    "a report that is a device": ("os.symlink('/dev/zero', 'jobReport.json')", "finished", 0),
    "a report of one huge line": (
        "open('jobReport.json', 'w').write('{\"exitCode\": 0, \"x\": \"' + 'x' * 20_000_000 + '\"}')", "finished", 0,
    ),
    "a report of brackets": ("open('jobReport.json', 'w').write('[' * 1_000_000)", "finished", 0),
    "a report of wrong types": (
        "open('jobReport.json', 'w').write('{\"exitCode\": [], \"nEvents\": -1, \"files\": {\"output\": 7}}')",
        "finished", 0,
    ),
    "an error report of wrong types": (
        "open('payload_error_report.json', 'w').write('{\"error_code\": \"many\", \"error_diag\": 7}')", "finished", 0,
    ),
    "a huge error code": (
        "open('payload_error_report.json', 'w').write('{\"error_code\": 1e99, \"error_diag\": \"x\"}')", "finished", 0,
    ),
    # Its streams
    "no streams": ("[os.close(number) for number in (0, 1, 2)]", "finished", 0),
    "its streams removed": ("[os.unlink(name) for name in ('payload.stdout', 'payload.stderr')]", "finished", 0),
    "a link in place of a stream": (
        "os.unlink('payload.stderr'); os.symlink('/etc/shadow', 'payload.stderr'); raise SystemExit(3)", "failed", 1305,
    ),
    "a pipe in place of a stream": (
        "os.unlink('payload.stdout'); os.mkfifo('payload.stdout'); raise SystemExit(3)", "failed", 1305,
    ),
    "words that are no text": (
        "os.write(2, bytes(range(256)) * 10 + b'\\x1b[2J\\r\\n'); raise SystemExit(3)", "failed", 1305,
    ),
    "one endless line": ("os.write(2, b'x' * 3_000_000); raise SystemExit(3)", "failed", 1305),
    # Its output
    "an output out of the directory": ("os.unlink(out); os.symlink('/etc/passwd', out)", "failed", 1303),
    "an output that is a pipe": ("os.unlink(out); os.mkfifo(out)", "failed", 1303),
    "an output that is a directory": ("os.unlink(out); os.mkdir(out)", "failed", 1303),
    "an output that is a loop of links": ("os.unlink(out); os.symlink(out, out)", "failed", 1303),
    "an output behind a link": ("os.rename(out, 'real'); os.symlink('real', out)", "finished", 0),
    "an output that is a record of the pilot": (
        "os.unlink(out); os.symlink('picard/journal.jsonl', out)", "finished", 0,
    ),
    "an empty output": ("open(out, 'w').close()", "failed", 1191),
    "no output": ("os.unlink(out)", "failed", 1165),
    # The pilot's own records
    "a journal of its own": ("open('picard/journal.jsonl', 'w').write('it went well\\n')", "finished", 0),
    "a journal replaced": (
        "os.unlink('picard/journal.jsonl'); open('picard/journal.jsonl', 'w').write('{}\\n')", "finished", 0,
    ),
    "no journal": ("os.unlink('picard/journal.jsonl')", "finished", 0),
    "a journal that is a pipe": ("os.unlink('picard/journal.jsonl'); os.mkfifo('picard/journal.jsonl')", "finished", 0),
    "no reserve": ("os.unlink('picard/reserve')", "finished", 0),
    "a lease that is a pipe": ("os.unlink('picard/lease.json'); os.mkfifo('picard/lease.json')", "finished", 0),
    "a lease of somebody else": ("open('picard/lease.json', 'w').write('{\"owner\": \"me\"}')", "finished", 0),
    "leases without end": (
        "[open(f'picard/lease.{10 ** n}.json', 'w').close() for n in range(200)];"
        "os.unlink('picard/.lease.spare'); os.mkfifo('picard/.lease.spare')", "finished", 0,
    ),
    "a status that is a pipe": ("os.unlink('picard/status.json'); os.mkfifo('picard/status.json')", "finished", 0),
    "a status that is a directory": ("os.unlink('picard/status.json'); os.mkdir('picard/status.json')", "finished", 0),
    "a status that is a full directory": (
        "os.unlink('picard/status.json'); os.makedirs('picard/status.json/x')", "finished", 0,
    ),
    "links in place of new records": (
        "[os.symlink(os.environ['OUTSIDE'] + '/planted', 'picard/' + name)"
        " for name in ('report.json', 'archive', f'.status.json.{os.environ[\"PILOT\"]}')]", "finished", 0,
    ),
    "pipes in place of new records": (
        "[os.mkfifo('picard/' + name) for name in ('report.json', 'archive', f'.status.json.{os.environ[\"PILOT\"]}')]",
        "finished", 0,
    ),
    "a pilot log that is a pipe": ("os.unlink('pilotlog.txt'); os.mkfifo('pilotlog.txt')", "finished", 0),
    "no records": ("shutil.rmtree('picard')", "failed", 1305),
    "a file in place of the records": ("shutil.rmtree('picard'); open('picard', 'w').write('x')", "failed", 1305),
    "a link in place of the records": (
        "shutil.rmtree('picard'); os.symlink(os.environ['OUTSIDE'], 'picard')", "failed", 1305,
    ),
    "no exit record": (
        "[os.unlink('picard/launch/' + name) for name in ('exit.json', 'started.json')]", "failed", 1305,
    ),
    "an exit record that is a pipe": (
        "os.unlink('picard/launch/exit.json'); os.mkfifo('picard/launch/exit.json')", "failed", 1305,
    ),
    "no launch": ("shutil.rmtree('picard/launch')", "failed", 1305),
    # Its directory
    "no directory": ("shutil.rmtree(os.getcwd())", "failed", 1305),
    "another directory": ("os.rename(os.getcwd(), os.getcwd() + '.moved')", "failed", 1305),
    "a locked directory": ("os.mkdir('sub'); os.chmod('sub', 0); os.chmod('.', 0)", "finished", 0),
    "locked records": ("os.chmod('picard/launch', 0); os.chmod('picard', 0)", "finished", 0),
    "a locked output": ("os.chmod(out, 0)", "failed", 1303),
    "a deep tree": (
        "[(os.mkdir('d' * 200), os.chdir('d' * 200)) for _ in range(100)]", "finished", 0,
    ),
    "names that are no text": ("open(b'\\xff\\xfe\\n', 'w').close(); os.mkdir(b'\\x80')", "finished", 0),
    "many files": ("[open(f'file-{number}', 'w').close() for number in range(3000)]", "finished", 0),
}  # fmt: skip

WITHOUT_PRIVILEGE = """
import os, shutil, sys
words = ["-m", "picard_pilot.cli.main", *sys.argv[1:]]
if os.geteuid() == 0:
    caps = "-dac_override,-dac_read_search"
    os.execvp("setpriv", ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", sys.executable, *words])
os.execv(sys.executable, [sys.executable, *words])
"""
"""A pilot for whom file modes count, also where the tests run as root."""


def processes_with(mark: str) -> list[int]:
    """The processes that have this variable in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("deed", DEEDS)
def test_what_a_payload_does_costs_its_own_job_alone(grid: Grid, deed: str) -> None:
    """The job's end is told as it should be, the next job is done, and nothing is left or written elsewhere."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("file modes do not count for root, and there is no setpriv to give that up")
    code, status, error = DEEDS[deed]
    outside = grid.directory / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    pilot_of = (
        "os.environ['PILOT'] = open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1]\n"
    )
    first = grid.submit_python(
        f"import os, shutil\n{WRITE}os.environ['OUTSIDE'] = {str(outside)!r}\n{pilot_of}{code}\n", **OUTPUT
    )
    second = grid.submit_python(WRITE, **OUTPUT)
    before = picture(grid.directory, grid.workdir, grid.store, grid.directory / "pilot-0.out")
    pilot = grid.pilot(program=("-c", WITHOUT_PRIVILEGE))
    assert pilot.wait(60) == 0, grid.output()[-4000:]
    told = grid.wait_status(first, "finished", "failed"), grid.errors(first).get("pilot", (0, ""))
    assert (told[0], told[1][0]) == (status, error), (told, grid.output()[-4000:])
    assert grid.wait_status(second, "finished", "failed") == "finished", grid.errors(second)
    assert picture(grid.directory, grid.workdir, grid.store, grid.directory / "pilot-0.out") == before
    assert '  File "' not in grid.output(), grid.output()[-4000:]
    if status == "finished":
        assert (grid.store / f"out.{first}.txt").stat().st_size
        with tarfile.open(grid.store / f"log.{first}.tgz") as archive:
            assert archive.getnames()
    else:
        assert not (grid.store / f"out.{first}.txt").exists()
    assert list(grid.workdir.glob("PanDA_Pilot-*")) == []


DAEMONS = {
    "an orphan in a session of its own": (
        "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  time.sleep(600)\n os._exit(0)\nos.wait()\n"
    ),
    "one with an emptied environment and closed streams": (
        "if os.fork() == 0:\n os.setsid(); [os.close(n) for n in range(3)]; os.chdir('/')\n"
        " os.execve('/bin/sleep', ['/bin/sleep', '600', mark], {})\n"
    ),
    "one that ignores every signal": (
        "if os.fork() == 0:\n os.setsid(); [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]\n"
        " while True: time.sleep(600)\n"
    ),
    "one that is stopped": "if os.fork() == 0:\n os.kill(os.getpid(), signal.SIGSTOP); time.sleep(600)\n",
    "a crowd": "for _ in range(50):\n if os.fork() == 0:\n  time.sleep(600)\n",
    "one that forks for ever": (
        "if os.fork() == 0:\n while True:\n  if os.fork(): os._exit(0)\n  os.setsid(); time.sleep(0.01)\n"
    ),
}


@pytest.mark.parametrize("kind", DAEMONS)
def test_daemons_of_a_payload_end_with_it(grid: Grid, kind: str) -> None:
    """The job ends when its main process does, and whatever it left is gone by then."""
    mark = f"mark-{grid.queue}-{os.getpid()}-{os.urandom(4).hex()}"
    job_id = grid.submit_python(
        f"import os, signal, time\nmark = {mark!r}\nos.environ['MARK'] = mark\n{WRITE}"
        "# The mark reaches the environment of what is started from here on.\n"
        "if os.environ.get('AGAIN') is None:\n"
        " os.environ['AGAIN'] = '1'\n"
        " import sys\n os.execv(sys.executable, [sys.executable, '-S', '-E', *sys.argv])\n" + DAEMONS[kind],
        **OUTPUT,
    )
    assert grid.pilot("--jobs", "1").wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert processes_with(f"MARK={mark}") == []
    commands = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    for entry in commands:
        try:
            assert mark.encode() not in (entry / "cmdline").read_bytes()
        except OSError:
            continue
