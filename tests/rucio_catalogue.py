"""A real Rucio server for tests: its own code from PyPI on PostgreSQL, behind gunicorn on a free loopback port.

Passwords are made at run time. What tests set up and look at goes by its REST interface, not by the client library
that the mover under test uses.
"""

import json
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from grid import clean_environment
from postgres_server import dies_with_us, programs, running_postgres

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "rucio" / "bin" / "python"
"""Rucio's server has an environment of its own, made by `make setup`: its pins are not ours."""

ACCOUNT = "pilot"
SCOPE = "picard"
START_PATIENCE_S = 120.0
END_PATIENCE_S = 20.0
ACCESS_LOG = "access.log"
QUOTA_BYTES = 1 << 50
IMPLEMENTATION = "rucio.rse.protocols.xrootd.Default"
"""Which code of Rucio would move the bytes; no test lets it."""


class RucioCatalogue:
    """A running Rucio with one account, which owns one scope."""

    def __init__(self, directory: Path, url: str, root_password: str) -> None:
        self.directory = directory
        self.url = url
        self.account = ACCOUNT
        self.scope = SCOPE
        self.password = secrets.token_hex(16)
        self._http = urllib3.PoolManager(retries=False)
        self._token = self._login("root", "root", root_password)
        self.call("POST", f"accounts/{ACCOUNT}", type="SERVICE", email="pilot@example.org")
        self.call(
            "POST",
            f"accounts/{ACCOUNT}/identities",
            identity=ACCOUNT,
            authtype="USERPASS",
            email="pilot@example.org",
            default=True,
            password=self.password,
        )
        # What production pilots have: leave to register replicas everywhere.
        self.call("POST", f"accounts/{ACCOUNT}/attr/admin", key="admin", value="true")
        self.call("POST", f"accounts/{ACCOUNT}/scopes/{SCOPE}")
        self.config = self.client_config("rucio.cfg")

    # For the client under test

    def client_config(self, name: str, *, password: str | None = None, url: str | None = None) -> Path:
        """A client's configuration file: without a [database] section, or the library takes itself for a server.

        Each has a token file of its own, so that no login is hidden by the token of another test.
        """
        path = self.directory / name
        path.write_text(
            f"""
[client]
rucio_host = {url or self.url}
auth_host = {url or self.url}
auth_type = userpass
username = {ACCOUNT}
password = {password or self.password}
account = {ACCOUNT}
request_retries = 1
auth_token_file_path = {self.directory}/tokens-{name}/token
"""
        )
        path.chmod(0o600)
        return path

    def environment(self, config: Path | None = None) -> dict[str, str]:
        """What makes `rucio-clients` of a process speak to this server."""
        return {"RUCIO_CONFIG": str(config or self.config), "RUCIO_ACCOUNT": ACCOUNT}

    # For the tests, past the client

    def add_rse(
        self,
        name: str,
        *addresses: str,
        tape: bool = False,
        site: str | None = None,
        deterministic: bool = True,
    ) -> None:
        """An RSE whose files begin at these addresses, best first; `site` is where it is local (LAN)."""
        self.call(
            "POST",
            f"rses/{name}",
            deterministic=deterministic,
            volatile=False,
            rse_type="TAPE" if tape else "DISK",
        )
        for priority, address in enumerate(addresses, start=1):
            parts = urlsplit(address)
            read_write = {"read": priority, "write": priority, "delete": priority}
            copy = {"third_party_copy_read": priority, "third_party_copy_write": priority}
            self.call(
                "POST",
                f"rses/{name}/protocols/{parts.scheme}",
                scheme=parts.scheme,
                hostname=parts.hostname or "localhost",
                port=parts.port or 0,
                prefix=parts.path,
                impl=IMPLEMENTATION,
                domains={"lan": read_write, "wan": {**read_write, **copy}},
            )
        if site is not None:
            self.call("POST", f"rses/{name}/attr/site", value=site)
        self.call("POST", f"accounts/{ACCOUNT}/limits/local/{name}", bytes=QUOTA_BYTES)

    def add_distance(self, source: str, destination: str, distance: int) -> None:
        """How far two RSEs are from each other."""
        self.call("POST", f"rses/{source}/distances/{destination}", distance=distance)

    def add_replicas(self, rse: str, files: Iterable[dict[str, Any]]) -> None:
        """Register replicas: `name`, `bytes` and `adler32` of each, in the kit's scope."""
        rows = [{"scope": SCOPE, "meta": {}, **file} for file in files]
        self.call("POST", "replicas", rse=rse, files=rows, ignore_availability=True)

    def add_dataset(self, name: str) -> None:
        """An open dataset in the kit's scope."""
        self.call("POST", f"dids/{SCOPE}/{quote(name, safe='')}", type="DATASET")

    def replicas(self, name: str) -> dict[str, list[str]]:
        """The addresses per RSE that the catalogue knows for a file."""
        found = self.call("POST", "replicas/list", dids=[{"scope": SCOPE, "name": name}], all_states=True)
        return {rse: surls for row in found for rse, surls in row["rses"].items()}

    def content(self, dataset: str) -> list[str]:
        """The names of the files in a dataset."""
        return sorted(row["name"] for row in self.call("GET", f"dids/{SCOPE}/{quote(dataset, safe='')}/dids"))

    def asked(self, agent: str) -> list[str]:
        """What clients of this name have asked so far, as `VERB /path`; the log is written after each answer."""
        lines = (self.directory / ACCESS_LOG).read_text().splitlines(keepends=True)
        rows = [line.split('"') for line in lines if line.endswith("\n")]
        return [" ".join(row[1].split()[:2]) for row in rows if row[-2].startswith(agent)]

    def call(self, verb: str, path: str, **body: Any) -> list[Any]:
        """One call as Rucio's own administrator; the documents of the answer."""
        answer = self._http.request(
            verb,
            f"{self.url}/{path}",
            headers={"X-Rucio-Auth-Token": self._token, "Content-Type": "application/json"},
            body=json.dumps(body).encode() if verb == "POST" else None,
        )
        assert answer.status in (200, 201), (verb, path, answer.status, answer.data)
        return [json.loads(line) for line in answer.data.splitlines() if line.startswith((b"{", b"["))]

    def _login(self, account: str, username: str, password: str) -> str:
        names = {"X-Rucio-Account": account, "X-Rucio-Username": username, "X-Rucio-Password": password}
        answer = self._http.request("GET", f"{self.url}/auth/userpass", headers=names)
        assert answer.status == 200, answer.data
        return answer.headers["X-Rucio-Auth-Token"]


def missing() -> str | None:
    """Why no Rucio can run here; None where it can."""
    if programs() is None:
        return "no Rucio: PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if not PYTHON.exists():
        return "no Rucio: its environment .venv/rucio is not there; `make setup` makes it"
    return None


@contextmanager
def running_rucio(directory: Path) -> Iterator[RucioCatalogue]:
    """Database, server and account; all end with the block."""
    root_password = secrets.token_hex(16)
    with running_postgres("rucio") as database, socket.socket() as listening:
        config = _server_config(directory, database, root_password)
        environment = {**clean_environment(), "RUCIO_CONFIG": str(config)}
        environment.pop("RUCIO_CLIENT_MODE", None)
        made = subprocess.run(
            [
                str(PYTHON),
                "-c",
                "from rucio.db.sqla.util import build_database, create_base_vo, create_root_account\n"
                "build_database(); create_base_vo(); create_root_account()",
            ],
            env=environment,
            capture_output=True,
            text=True,
            cwd=directory,
        )
        assert made.returncode == 0, made.stderr
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)  # from now on a caller waits for the server instead of being refused
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (directory / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [
                    *(str(PYTHON), "-m", "gunicorn", "-w", "1", "-k", "gthread", "--threads", "4"),
                    *("--access-logfile", str(directory / ACCESS_LOG)),
                    *("-b", f"fd://{listening.fileno()}", "rucio.web.rest.main:application"),
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                pass_fds=(listening.fileno(),),
                preexec_fn=dies_with_us(signal.SIGTERM),  # noqa: PLW1509 - no other thread runs yet
            )
        listening.close()
        try:
            _answers(url, directory / "server.log")
            yield RucioCatalogue(directory, url, root_password)
        finally:
            _end(server)


def _answers(url: str, log: Path) -> None:
    """Wait for the first answer: the connection stands in the queue until a worker is there to take it."""
    try:
        answer = urllib3.request("GET", f"{url}/ping", retries=False, timeout=START_PATIENCE_S)
    except urllib3.exceptions.HTTPError as error:
        raise AssertionError(f"Rucio did not start: {error}\n{log.read_text()[-4000:]}") from error
    assert answer.status == 200, (answer.status, answer.data)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGQUIT)  # quickly: kept connections need not be waited for
    try:
        server.wait(END_PATIENCE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _server_config(directory: Path, database: str, root_password: str) -> Path:
    """The server's own configuration; without both trace sections it does not start."""
    traces = directory / "traces"
    traces.mkdir()
    alembic = directory / "alembic.ini"
    alembic.write_text(
        f"""
[alembic]
sqlalchemy.url = {database}
script_location = rucio:db/sqla/migrate_repo
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARN
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic
[formatter_generic]
format = %(levelname)s %(message)s
"""
    )
    trace = f"tracedir = {traces}\nbrokers = 127.0.0.1\nport = 9\ntopic = /topic/none\nusername = none\npassword = none"
    config = directory / "server.cfg"
    config.write_text(
        f"""
[common]
logdir = {directory}
loglevel = WARNING
[database]
default = {database}
echo = 0
pool_recycle = 3600
pool_reset_on_return = rollback
[bootstrap]
userpass_identity = root
userpass_pwd = {root_password}
userpass_email = root@example.org
[alembic]
cfg = {alembic}
[policy]
permission = generic
schema = generic
[trace]
{trace}
[nongrid-trace]
{trace}
"""
    )
    config.chmod(0o600)
    return config
