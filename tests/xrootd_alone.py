"""A data server without a federation: for tests of what a server's own settings do, and for benchmarks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from federation import EXPORT, Storage, lay_out, program, server_folder
from xrootd_server import free_ports, listens

_CONFIG = """
all.role server
all.adminpath {folder}/adm
all.pidpath {folder}/adm
all.export {export}
oss.localroot {folder}/tree
xrd.trace off
xrd.port {port}
{more}
"""


@contextmanager
def server_alone(more: str, within: Path | None = None) -> Iterator[tuple[str, Storage]]:
    """A server with these lines in its configuration: the address of `/data`, and its files.

    `within` is where its folder is made; None: where temporary files are.
    """
    with server_folder(within) as base:
        folder, port = base / "alone", free_ports(1)[0]
        lay_out(folder, _CONFIG.format(folder=folder, export=EXPORT, port=port, more=more))
        made = program("xrootd", "alone", folder, lambda: listens(port))
        try:
            made.start()
            yield f"root://127.0.0.1:{port}/{EXPORT}", Storage(folder / "tree" / EXPORT.strip("/"))
        finally:
            made.kill()
