"""A real XRootD federation on loopback: a redirector and three sites, by root:// and http:// on the same ports.

The stand-alone door with TLS and tokens is `secure_door`; one program of either is `xrootd_server`.
Every site has an address of its own (the client's fail-over counts host names, not ports), which takes routes and
so root, best in a private network namespace: XRootD has no option to listen on loopback only.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from xrootd_server import Program, free_ports, hand_over, listens, wait_until, why_not

SITES = 3
EXPORT = "/data"
"""Below it everything of a storage's name space lies."""

PROBE_LIMIT_S = "2"
"""A redirector that is starting tells its client to come back in ten seconds: ours rather asks again itself."""

_COMMON = """
all.adminpath {folder}/adm
all.pidpath {folder}/adm
all.export {export}
xrd.trace off
xrootd.chksum max 32 adler32 md5 crc32c
"""
# The manager needs the checksum line too, or it refuses the query instead of sending its client on.
_MANAGER = (
    _COMMON
    + """
all.role manager
all.manager 127.0.0.1:{manager_port}
cms.allow host *
cms.delay startup 1 lookup 1 service 1 suspend 1 servers 1 qdl 1
cms.fxhold 60s
if exec cmsd
  xrd.port {manager_port}
else
  xrd.port {port}
  xrd.protocol http libXrdHttp.so
fi
"""
)
# A site logs in to the manager by the site's own address, which is how the manager learns that address.
_SITE = (
    _COMMON
    + """
all.role server
all.manager {host}:{manager_port}
oss.localroot {root}
cms.allow host *
cms.delay startup 1 lookup 1 servers 1 qdl 1
cms.fxhold 60s
if exec cmsd
  xrd.port {cms_port}
else
  xrd.port {port}
  xrd.protocol http libXrdHttp.so
fi
xrootd.seclib libXrdSec.so
"""
)


class Storage:
    """The files of one server, seen past it; `folder` is where its `/data` lies on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where the file `/data/<name>` lies."""
        return self.folder / name

    def put(self, name: str, data: bytes) -> Path:
        """Make a file exist, with its folders, as the server would have made it."""
        path = self.path(name)
        for parent in reversed(path.parents):
            if parent.is_relative_to(self.folder) and not parent.exists():
                parent.mkdir()
                hand_over(parent)
        path.write_bytes(data)
        hand_over(path)
        return path

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None if there is none."""
        path = self.path(name)
        return path.read_bytes() if path.is_file() else None

    def names(self) -> list[str]:
        """All files, temporary ones too."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


class Site:
    """One data server with its cmsd; the faults are the data server's."""

    def __init__(self, federation: "Federation", number: int, port: int, cms_port: int) -> None:
        self.name = f"site{number}"
        self.host = f"{federation.network}.{number}.1"
        self.port = port
        self.root = f"root://{self.host}:{port}/{EXPORT}"
        self.http = f"http://{self.host}:{port}{EXPORT}"
        self._federation = federation
        base = federation.base / self.name
        config = _SITE.format(
            folder=base,
            export=EXPORT,
            root=base / "tree",
            host=self.host,
            port=port,
            cms_port=cms_port,
            manager_port=federation.manager_port,
        )
        lay_out(base, config)
        self.storage = Storage(base / "tree" / EXPORT.strip("/"))
        sockets = base / "adm" / self.name / ".olb"
        # It opens its port only when its data server has come, which asks again after ten seconds where it
        # was the first of the two.
        self.cmsd = program("cmsd", self.name, base, lambda: any(sockets.glob("*admin*")))
        self.xrootd = program("xrootd", self.name, base, lambda: listens(port))

    def start(self) -> None:
        """Start both."""
        self.cmsd.start()
        self.xrootd.start()

    def restart(self) -> None:
        """Start the data server again; returns when the redirector finds files there again."""
        self.xrootd.kill()
        self.xrootd.start()
        self._federation.wait_for(self)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The data server answers nothing meanwhile, and its connections stay."""
        self.xrootd.freeze()
        try:
            yield
        finally:
            self.xrootd.thaw()

    @contextmanager
    def small_disk(self, name: str, size_bytes: int) -> Iterator[str]:
        """A folder on a file system of this size; gives its name. Raises CalledProcessError where none mounts."""
        path = self.storage.path(name)
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=777", "picard-test", str(path)]
        try:
            subprocess.run(command, check=True, capture_output=True)
            try:
                yield name
            finally:
                # Lazily: the server may still hold a file of a client that gave up.
                subprocess.run(["umount", "--lazy", str(path)], check=True, capture_output=True)
        finally:
            path.rmdir()


class Federation:
    """Redirector and sites. `root` and `http` are the redirector's addresses of `/data`."""

    def __init__(self, base: Path) -> None:
        self.base = base
        # A network of our own: two federations on one machine do not disturb each other's routes.
        self.network = f"127.{16 + os.getpid() % 224}"
        self.manager_port, self.port, *site_ports = free_ports(2 + 2 * SITES)
        self.root = f"root://127.0.0.1:{self.port}/{EXPORT}"
        self.http = f"http://127.0.0.1:{self.port}{EXPORT}"
        folder = base / "redirector"
        config = _MANAGER.format(folder=folder, export=EXPORT, port=self.port, manager_port=self.manager_port)
        lay_out(folder, config)
        self._cmsd = program("cmsd", "redirector", folder, lambda: listens(self.manager_port))
        self._xrootd = program("xrootd", "redirector", folder, lambda: listens(self.port))
        pairs = zip(site_ports[::2], site_ports[1::2], strict=True)
        self.sites = tuple(Site(self, number, *ports) for number, ports in enumerate(pairs, start=1))
        self._probes = 0

    def start(self) -> None:
        """Start everything; returns when the redirector finds a file on every site."""
        for site in self.sites:
            route(self.network, site.host, "replace")
        self._cmsd.start()
        self._xrootd.start()
        for site in self.sites:
            site.start()
        for site in self.sites:
            self.wait_for(site)

    def wait_for(self, site: Site) -> None:
        """Wait until the redirector finds what lies on this site."""
        wait_until(lambda: self._finds(site), f"the redirector to find {site.name}", self._cmsd.words)

    def _finds(self, site: Site) -> bool:
        """Ask for a file that nobody asked for before: the redirector remembers what it did not find."""
        self._probes += 1
        probe = site.storage.put(f".probe-{self._probes}", b"")
        try:
            found = subprocess.run(
                ["xrdfs", f"127.0.0.1:{self.port}", "locate", f"{EXPORT}/{probe.name}"],
                capture_output=True,
                env={
                    **os.environ,
                    "XRD_REQUESTTIMEOUT": PROBE_LIMIT_S,
                    "XRD_CONNECTIONWINDOW": PROBE_LIMIT_S,
                },
            )
        finally:
            probe.unlink()
        return found.returncode == 0

    def mend(self) -> None:
        """After a test: whatever was frozen goes on, whatever was killed runs again."""
        for site in self.sites:
            site.xrootd.thaw()
            if not site.xrootd.is_alive():
                site.restart()

    def end(self) -> None:
        """End every program that was started, and take the routes back."""
        for site in self.sites:
            site.xrootd.kill()
            site.cmsd.kill()
            route(self.network, site.host, "del")
        self._xrootd.kill()
        self._cmsd.kill()


def route(network: str, host: str, verb: str) -> None:
    """Give connections to this /24 the address `host` as their source. Raises CalledProcessError."""
    third = host.split(".")[2]
    where = ["local", f"{network}.{third}.0/24", "dev", "lo", "src", host, "table", "local"]
    subprocess.run(["ip", "route", verb, *where], check=verb != "del", capture_output=True)


def why_no_federation() -> str | None:
    """Why there can be no federation here, in one sentence; None where there can."""
    if (reason := why_not()) is not None:
        return reason
    if shutil.which("ip") is None:
        return "no ip command (Debian: apt-get install iproute2) to give each site an address of its own"
    try:
        route("127.15", "127.15.1.1", "replace")
    except subprocess.CalledProcessError:
        return "this process may not make loopback routes; as root, or under `unshare -rn`, it may"
    route("127.15", "127.15.1.1", "del")
    return None


def lay_out(base: Path, config: str) -> None:
    """The folders of one server, its own; what lies below them later keeps the modes a test gives it."""
    folders = [base, base / "adm", base / "tree", base / "tree" / EXPORT.strip("/")]
    for folder in folders:
        folder.mkdir()
    (base / "config").write_text(config)
    hand_over(*folders)


def program(kind: str, name: str, base: Path, is_up: Callable[[], bool], **environment: str) -> Program:
    """`xrootd` or `cmsd` of one server."""
    argv = [kind, "-n", name, "-c", str(base / "config"), "-l", str(base / f"{kind}.log")]
    # Without a pid file of its own it would write one to /tmp, where another user's may lie.
    argv += ["-s", str(base / "adm" / f"{kind}.pid")]
    return Program(argv, folder=base, is_up=is_up, environment=environment)


@contextmanager
def server_folder(within: Path | None = None) -> Iterator[Path]:
    """A folder that another user's servers may enter, with a path short enough for their sockets' names."""
    base = Path(mkdtemp(prefix="picard-x-", dir=within))
    base.chmod(0o711)
    try:
        yield base
    finally:
        shutil.rmtree(base)


@contextmanager
def running_federation() -> Iterator[Federation]:
    """A federation that is up, and gone afterwards."""
    with server_folder() as base:
        made = Federation(base)
        try:
            made.start()
            yield made
        finally:
            made.end()
