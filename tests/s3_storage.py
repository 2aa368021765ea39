"""A real S3 server for tests: s3rver from npm on a free port of the loopback, with keys made at run time.

It refuses wrong and expired signatures. What `s3_server/server.cjs` adds to s3rver stands there.
"""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / ".venv" / "node" / "node_modules"
"""Where `make` installs what `node/package.json` names."""
PROGRAM = Path(__file__).resolve().parent / "s3_server" / "server.cjs"

BUCKET = "picard"
REGION = "us-east-1"
END_PATIENCE_S = 10.0
"""A server that was told to end is killed after this."""


class S3Storage:
    """A running S3 server with one bucket."""

    def __init__(self, directory: Path, port: int, access_key: str, secret_key: str, pid: int) -> None:
        self.directory = directory
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        self.access_key = access_key
        self.secret_key = secret_key
        self.pid = pid

    def environment(self) -> dict[str, str]:
        """What boto3 needs to speak to this server, as environment variables."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """A boto3 client for this server: how tests look past the mover."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def incoming(self) -> list[str]:
        """Uploads under way."""
        return sorted(path.name for path in (self.directory / "incoming").iterdir())

    def parts(self) -> list[str]:
        """Uploads in parts that were begun, and neither committed nor given up."""
        uploads = self.directory / "buckets" / BUCKET / "._S3rver_uploads"
        return sorted(path.name for path in uploads.iterdir()) if uploads.exists() else []


def missing() -> str | None:
    """Why no S3 server can run here; None where it can."""
    if shutil.which("node") is None:
        return "no S3 server: node is not installed (Debian: apt-get install nodejs npm)"
    if not (MODULES / "s3rver").is_dir():
        return "no S3 server: s3rver is not installed; `make setup` does it where npm is"
    return None


@contextmanager
def running_s3(directory: Path) -> Iterator[S3Storage]:
    """The server as a process of its own, with its files in `directory`; it ends with the block."""
    access_key = f"PICARD{secrets.token_hex(7).upper()}"
    secret_key = secrets.token_hex(20)
    complaints = directory / "s3rver.err"
    with complaints.open("wb") as errors:
        server = subprocess.Popen(
            ["node", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={
                "PATH": os.environ["PATH"],
                "NODE_PATH": str(MODULES),
                "S3_DIRECTORY": str(directory),
                "S3_BUCKETS": BUCKET,
                "S3_ACCESS_KEY": access_key,
                "S3_SECRET_KEY": secret_key,
            },
        )
    assert server.stdout is not None
    assert server.stdin is not None
    try:
        said = server.stdout.readline()  # comes when it listens
        assert said, f"the S3 server did not start: {complaints.read_text()}"
        yield S3Storage(directory, json.loads(said)["port"], access_key, secret_key, server.pid)
    finally:
        server.stdin.close()
        try:
            server.wait(END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()
