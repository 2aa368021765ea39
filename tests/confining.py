"""What the tests of isolation need of a machine, each asked of the machine itself and not of what is tested."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

IMPOSSIBLE_ANYWAY = {
    "environment": "the payload's environment is made without the pilot's secrets",
    "descriptors": "the payload's launcher closes all but three",
    "covers": "there is nothing to take off",
}
"""What no payload of the suite can do even without confinement, and why; they are tried in one that leaks."""
ROOTS_ALONE = {
    "handles": "only root opens a file by its handle",
    "kernel_settings": "only root may write there",
}
"""What an ordinary user's payload cannot do besides, and why."""

INSTALL = "scripts/setup_isolation.sh installs it"


def lacks_program(*names: str) -> str | None:
    """Why a test cannot run for want of a program; None where all are here."""
    missing = [name for name in names if shutil.which(name) is None]
    return f"there is no {missing[0]} here; {INSTALL}" if missing else None


def lacks_namespaces() -> str | None:
    """Why no namespaces can be made here, as in a container whose runtime forbids it; None where they can."""
    if (reason := lacks_program("unshare")) is not None:
        return reason
    tried = subprocess.run(("unshare", "--user", "--mount", "--pid", "--fork", "true"), capture_output=True)
    return None if tried.returncode == 0 else "this machine lets nobody make user namespaces"


def lacks_bubblewrap() -> str | None:
    """Why bubblewrap cannot run here."""
    return lacks_program("bwrap") or lacks_namespaces()


def lacks_landlock() -> str | None:
    """Why this kernel has no Landlock: it was built without, or started without."""
    known = ctypes.CDLL(None).syscall(444, None, 0, 1)
    return "the kernel of this machine has no Landlock" if known < 1 else None


def restrained() -> set[str]:
    """The attempts of the suite that the kernel (Yama) denies an ordinary user's payload even without confinement."""
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    free = not scope.exists() or scope.read_text().strip() == "0"
    return set() if free else {"memory", "memory_by_call", "stolen_descriptors", "trace_launcher"}


def apptainer() -> Path | None:
    """Apptainer: the machine's, or the one in a tree of its own that scripts/setup_isolation.sh makes."""
    found = shutil.which("apptainer")
    own = Path(sys.prefix, "apptainer", "bin", "apptainer")
    return Path(found) if found else own if own.exists() else None


def skeleton(folder: Path) -> Path:
    """An image as a directory: links into /usr, which the request binds."""
    image = folder / "image"
    for name in ("usr", "etc", "proc", "dev", "tmp", "sys", "var/tmp", "root", "home", "marked"):
        (image / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (image / name).symlink_to(f"usr/{name}")
    (image / "marked" / "which").write_text("the image\n")
    return image
