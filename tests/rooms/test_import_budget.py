"""What a pilot, its transfer worker and its launcher must not import: start and memory depend on it.

How long a start takes is for benchmarks; this keeps what is heavy from coming back unseen.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

from grid import ROOT, Grid, clean_environment
from picard_pilot.system import spawn

THIRD_PARTY = {"msgspec", "urllib3", "zlib_ng"}
"""All that a pilot on a node may import besides the standard library."""

TOLERATED = {"typing_extensions", "_distutils_hack"}
"""Where they are installed, msgspec imports the one and the interpreter itself the other: not our choice."""

NEVER: dict[str, str] = {
    "importlib.metadata": "50 ms and 2 MB; entry points are for names that no table has",
    "multiprocessing": "5 MB; our other processes are programs of their own",
    "http.server": "the pilot serves nobody",
    "urllib.request": "requests are made by urllib3",
    "ctypes": "8 ms; who must call the kernel does it as system.shim does",
    "dataclasses": "0.8 ms for each class, a msgspec.Struct 0.02 ms",
    "tempfile": "brings shutil along; the pilot has a work directory",
    "unittest": "some libraries bring it along for their own tests",
    "sqlite3": "the server's",
    "picard_pilot.server": "they meet on the wire",
    "picard_pilot.tools": "for people without a running pilot",
    "picard_pilot.testing": "for tests",
}
"""What neither a pilot nor its transfer worker imports as long as it lives."""

OF_THE_WORKER: dict[str, str] = {
    "picard_pilot.movers": "movers and their libraries live in the worker's process"
}
"""What a pilot leaves to its transfer worker."""

NOT_BEFORE_A_JOB: dict[str, str] = {
    "shutil": "brings four ways to compress along; argparse asks the terminal for its width with it",
    "tarfile": "for log archives",
    "picard_pilot.pilot.perform": "brings all rooms along that only a job needs",
    "picard_pilot.payload.launcher": "for payloads",
    "picard_pilot.diagnosis.catalogue.codes": "5 ms of texts; for jobs that fail",
    "picard_pilot.watch.slot": "for slots of which a batch system, features or a drain file tell the end",
    "picard_pilot.data.stagein": "for inputs",
    "picard_pilot.data.stageout": "for outputs",
}
"""What a pilot does not import on its way to its first question."""

NOT_IN_THE_WORKER: dict[str, str] = {
    "asyncio": "40 ms and 10 MB with what it brings along; transfers run in threads",
    "ssl": "9 ms and 5 MB; for a mover that needs it",
    "urllib3": "30 ms; for a mover that needs it",
    "logging": "the pilot writes the log",
    "subprocess": "for a mover that needs it",
    "picard_pilot.pilot": "the worker gets all that it has to know with each request",
    "picard_pilot.settings": "as above",
}
"""What the transfer worker does not import before a mover wants it."""

RUN_AND_SHOW = (
    "import sys\nfrom picard_pilot.cli.main import main\ncode = main()\n"
    "open({path!r}, 'w').write(' '.join(sys.modules))\nsys.exit(code)\n"
)


def modules_of_pilot(grid: Grid, *flags: str, code: int) -> set[str]:
    """The modules that a pilot has at its end, which must have this exit code."""
    path = grid.directory / "modules"
    program = ("-c", RUN_AND_SHOW.format(path=str(path)))
    assert grid.pilot(*flags, program=program).wait(60) == code, grid.output()
    return set(path.read_text().split())


def modules_after(statement: str, *flags: str) -> set[str]:
    """The modules of an interpreter with these flags after an import statement."""
    said = subprocess.run(
        [sys.executable, *flags, "-c", f"import sys; {statement}; print(*sys.modules)"],
        env=clean_environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return set(said.stdout.decode().split())


def found(modules: set[str], unwanted: dict[str, str]) -> dict[str, str]:
    """The unwanted ones, with the reason why they are."""
    return {name: why for name, why in unwanted.items() if name in modules}


def third_party(modules: set[str]) -> set[str]:
    """The packages and modules that lie in site-packages, except those that are not our choice."""
    folder = Path(sysconfig.get_path("platlib"))
    roots = {name.partition(".")[0] for name in modules}
    installed = {root for root in roots if (folder / root).is_dir() or (folder / f"{root}.py").exists()}
    return installed - TOLERATED


def test_a_pilot_without_a_job(grid: Grid) -> None:
    """It asked once and left: what brings work along is not imported yet."""
    modules = modules_of_pilot(grid, code=82)
    assert found(modules, NEVER | OF_THE_WORKER | NOT_BEFORE_A_JOB) == {}
    assert third_party(modules) <= THIRD_PARTY


def test_a_pilot_with_a_job(grid: Grid) -> None:
    """Setup, payload, log and report of a whole job stay within the budget."""
    grid.submit("/bin/true")
    modules = modules_of_pilot(grid, "--jobs", "1", code=0)
    assert "picard_pilot.pilot.perform" in modules
    # When it is needed, the file system may hang from which it would be loaded.
    assert "picard_pilot.diagnosis.catalogue.codes" in modules
    assert found(modules, NEVER | OF_THE_WORKER) == {}
    assert third_party(modules) <= THIRD_PARTY


def test_the_transfer_worker_with_the_local_mover() -> None:
    """It lives as long as the pilot, beside it."""
    modules = modules_after("import picard_pilot.data.worker_main, picard_pilot.movers.local", "-P")
    assert found(modules, NEVER | NOT_IN_THE_WORKER) == {}
    assert third_party(modules) <= THIRD_PARTY


def test_the_launcher_imports_what_is_built_in() -> None:
    """One lives beside each payload and one beside each command: 9 MB, and 3 ms more than the bare interpreter."""
    flags = ("-I", "-S", "-E")
    bare = modules_after("pass", *flags)
    folder = str(Path(spawn.__file__).parents[2])
    modules = modules_after(f"sys.path.append({folder!r}); import picard_pilot.system.shim.launcher", *flags)
    ours = {name for name in modules if name.startswith("picard_pilot.system.shim")}
    packages = {"picard_pilot", "picard_pilot.system"}
    built_in = {
        *sys.builtin_module_names,
        "select",
    }  # a part of the interpreter or a small library, as it was built
    assert modules - bare - ours - packages <= built_in
