"""The commands of a first hour, one after another: a server, a job that fails, a pilot, and what people then see."""

import json
import os
import subprocess
import sys
from pathlib import Path

from grid import SITE

PROGRAM = [sys.executable, "-m", "picard_pilot.cli.main"]


def test_a_failing_job_explains_itself(tmp_path: Path) -> None:
    """Submitted, run, awaited, described, peeked at, listed by its error, retried: with the exit codes of the rules."""
    (tmp_path / "storage").mkdir()
    (tmp_path / "work").mkdir()
    prefix = json.dumps((tmp_path / "storage").as_uri())
    (tmp_path / "site.toml").write_text(SITE.format(prefix=prefix))
    (tmp_path / "picard.toml").write_text(
        f"[pilot]\nqueue = 'Q'\nsite_files = '{tmp_path / 'site.toml'}'\njobs = 1\n"
    )
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path),
        "PICARD_CONFIG": str(tmp_path / "picard.toml"),
        "PICARD_WORKDIR": str(tmp_path / "work"),
    }

    def ppilot(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*PROGRAM, *words], env=environ, capture_output=True, text=True, timeout=120)

    server = json.loads(ppilot("server", "start", "--port", "0", "--json").stdout)["data"]
    try:
        program = "echo 'no geometry for run 7' >&2; exit 7"
        job_id = ppilot("submit", "--name", "fit", "--quiet", "--", "sh", "-c", program).stdout.strip()
        token = ppilot("server", "token", "pilot", "--path").stdout.strip()
        environ |= {
            "PICARD_SERVER": server["url"],
            "PICARD_CA": server["ca_file"],
            "PICARD_TOKEN_FILE": token,
        }
        pilot = ppilot("run")
        assert pilot.returncode == 0, pilot.stdout + pilot.stderr
        for phase in ("setup", "running", "stageout", "finishing", "failed"):
            assert f"job {job_id}: {phase} " in pilot.stdout
        told = ppilot("job", "describe", job_id).stdout
        assert f"Job {job_id} (fit) of" in told and "failed after running" in told and "1305" in told
        peeked = ppilot("peek", job_id)
        assert "no geometry for run 7" in peeked.stdout
        listed = json.loads(ppilot("job", "list", "--error", "1305", "--json", "--fields", "job_id").stdout)
        assert listed["data"] == [{"job_id": int(job_id)}]
        (unknown,) = json.loads(ppilot("errors", "unknown", "--json").stdout)["data"]
        assert (unknown["text"], unknown["jobs"]) == ("exit code 7\nno geometry for run <n>", 1)
        assert unknown["fingerprint"] in told
        assert ppilot("job", "retry", job_id).returncode == 0
        assert ppilot("job", "retry", job_id).returncode == 1
        waiting = subprocess.Popen(
            [*PROGRAM, "submit", "--wait", "--timeout", "100", "--", "true"],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert ppilot("run", "--jobs", "2").returncode == 0
        out, _ = waiting.communicate(timeout=120)
        assert (waiting.returncode, out.splitlines()[-1].split()[1:]) == (0, ["finished"])
    finally:
        ppilot("server", "stop")
