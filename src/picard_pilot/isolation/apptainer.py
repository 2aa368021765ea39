"""Confinement by apptainer (or singularity): the payload in an image, with what it may see of the node bound into it.

The image is a SIF file or a directory, on CVMFS for instance. It needs user namespaces and no rights; as root it is
told to use them too. The program is found in PATH, or named as `apptainer:/cvmfs/.../bin/apptainer`.
"""

import contextlib
import os
from pathlib import Path
from typing import ClassVar

from picard_pilot.isolation.base import Isolation
from picard_pilot.isolation.mounts import Show, below, plan
from picard_pilot.model.isolation import (
    CannotConfine,
    ConfineFault,
    ConfineRequest,
    Guarantee,
    Probed,
    Wrapped,
)

# Without the last a value with a `$` in it would be expanded.
OPTIONS = ("--containall", "--pid", "--ipc", "--cleanenv", "--no-eval")
ROOTS_OPTIONS = ("--userns", "--no-privs")
"""As root it would keep all capabilities, and could take off what covers the pilot's folders."""
PROC_COVERED = "/proc/sys"
"""It could write there without any capability, and a core_pattern runs as root on the node."""
NAMES = ("apptainer", "singularity")
CVMFS = "/cvmfs"
"""Bound where the node has it: the software of most payloads."""
PREFIXES = ("APPTAINERENV_", "SINGULARITYENV_")
"""A variable with this before its name is the payload's; so no value comes on a command line."""
PASSED = ("PATH", "HOME", "TMPDIR", "LANG", "XDG_RUNTIME_DIR", "APPTAINER_CACHEDIR", "APPTAINER_TMPDIR")
"""What the program itself sees of the pilot's environment."""
NOT_PASSED = ("HOME", "PATH")
"""Variables of the payload that apptainer sets: its home is the job's directory, its PATH that of the image."""


class Apptainer(Isolation):
    """The payload in an image."""

    name = "apptainer"
    claims = frozenset(
        {Guarantee.HIDES_PILOT_CREDENTIALS, Guarantee.OWN_PROCESS_SPACE, Guarantee.READ_ONLY_HOST}
    )
    runs_images = True
    needs_image = True
    signals_as_codes = True
    program: ClassVar[str | None] = None

    @classmethod
    def at(cls, place: str) -> type["Apptainer"]:
        """The one at this path."""
        return type(cls.__name__, (cls,), {"program": place, "__module__": cls.__module__})

    async def probe(self) -> Probed:
        """Ask for its version, and run the smallest possible image: a folder that holds nothing."""
        program = self._where()
        if program is None:
            return self.lacking("there is no apptainer on this node")
        version = await self.try_out((program, "--version"))
        if not version.ok:
            said = version.stderr_tail.strip().splitlines()
            return self.lacking(f"{program} does not start: {said[-1] if said else version.start_error}")
        if (refused := await self._try(program)) is not None:
            return self.lacking(f"{program} runs no images here: {refused}")
        return self.found(version.stdout_tail.strip())

    async def _try(self, program: str) -> str | None:
        """Run `true` in an image of links into the node's own /usr; what it said where that did not work."""
        folder = Path(self.environ.get("TMPDIR") or "/tmp", f"picard-probe-{os.urandom(8).hex()}")
        try:
            _make_smallest(folder)
            user = ROOTS_OPTIONS if os.geteuid() == 0 else ()
            bind = ("--no-home", "--bind", "/usr:/usr:ro")
            tried = await self.try_out(
                (program, "exec", *OPTIONS, *user, *bind, str(folder), "/usr/bin/true")
            )
        except OSError as error:
            return f"no image can be made to try it: {error}"
        finally:
            _remove_smallest(folder)
        if tried.ok:
            return None
        said = tried.stderr_tail.strip().splitlines()
        return said[-1] if said else f"it ended with {tried.exit_code}"

    def wrap(self, request: ConfineRequest) -> Wrapped:
        """The command behind `apptainer exec`."""
        program = self._where()
        if program is None:
            raise CannotConfine("apptainer is gone since the pilot started")
        image = self._image(request)
        # Its warnings would stand among what the payload says; errors are still told.
        arguments = ["--silent", "exec", *OPTIONS]
        if os.geteuid() == 0:
            arguments += [*ROOTS_OPTIONS, "--bind", f"{PROC_COVERED}:{PROC_COVERED}:ro"]
        if not Path(image).is_dir() and not os.access("/dev/fuse", os.W_OK):
            arguments.append("--unsquash")
        arguments += ["--workdir", str(_folder(request.scratch, "tmp")), "--home", request.job_directory]
        for source, target, mode in _binds(request):
            if any(character in source + target for character in ":,"):
                raise CannotConfine(f"apptainer cannot bind {source}: its name has a colon or a comma in it")
            arguments += ["--bind", f"{source}:{target}:{mode}"]
        arguments += ["--pwd", request.cwd, *request.image_options, image, *request.argv]
        return Wrapped(argv=(program, *arguments), environment=self._environment(request))

    def fault(self, exit_code: int, stderr: str = "") -> ConfineFault | None:
        """It ends with 255 and a line with FATAL where it could not start the payload."""
        said = [line for line in stderr.splitlines() if "FATAL:" in line]
        if exit_code != 255 or not said:
            return None
        text = said[-1].strip()
        missing = "could not open image" in text or "no such file" in text.lower()
        return ConfineFault(
            error="IMAGENOTFOUND" if missing and "image" in text else "SETUPFAILURE",
            says=f"The payload could not be started in its image: {text}",
            next_step="Check the image and that the program is in it; if they are, show this line to the site",
        )

    def _where(self) -> str | None:
        if self.program is not None:
            return self.program if os.access(self.program, os.X_OK) else None
        folders = self.environ.get("PATH", os.defpath).split(os.pathsep)
        found = (str(Path(folder, name)) for name in NAMES for folder in folders if folder)
        return next((each for each in found if os.access(each, os.X_OK)), None)

    def _image(self, request: ConfineRequest) -> str:
        if request.image is None:
            raise CannotConfine("apptainer runs images, and the job names none")
        if not request.image.startswith("/") or not Path(request.image).exists():
            raise CannotConfine(f"the image {request.image} is no file or directory of this node")
        return request.image

    def _environment(self, request: ConfineRequest) -> dict[str, str]:
        """The program's own variables, and the payload's with a name that it takes off."""
        passed = {name: value for name, value in self.environ.items() if name in PASSED}
        payload = {name: value for name, value in request.environment.items() if name not in NOT_PASSED}
        if "PATH" in request.environment:
            payload["APPEND_PATH"] = request.environment["PATH"]
        prefix = PREFIXES[0]
        return passed | {f"{prefix}{name}": value for name, value in payload.items()}


_FOLDERS, _LINKS = ("usr", "tmp", "proc", "dev", "etc", "root", "home"), ("bin", "lib", "lib64", "sbin")


def _make_smallest(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    for name in _FOLDERS:
        (folder / name).mkdir()
    for name in _LINKS:
        (folder / name).symlink_to(f"usr/{name}")


def _remove_smallest(folder: Path) -> None:
    """Without `shutil`, which is no small thing to import. What apptainer may have left in it stays."""
    for name in _LINKS:
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for name in _FOLDERS:
            (folder / name).rmdir()
        folder.rmdir()


def _binds(request: ConfineRequest) -> list[tuple[str, str, str]]:
    """What is bound, outermost first; all else is hidden. A hidden folder in a visible one is covered by an empty."""
    empty = str(_folder(request.scratch, "empty"))
    visible: list[str] = []
    found = [(CVMFS, CVMFS, "ro")] if Path(CVMFS).is_dir() else []
    for mount in plan(request):
        if mount.show is Show.HIDDEN:
            if any(below(mount.path, each) for each in visible):
                found.append((empty, mount.path, "ro"))
            continue
        visible.append(mount.path)
        found.append((mount.path, mount.path, "rw" if mount.show is Show.READ_WRITE else "ro"))
    # A path with a link in it is no path in the image.
    for given in (request.job_directory, *request.read_only, *request.read_write):
        real = os.path.realpath(given)
        if real != given:
            found.append((real, given, "ro" if given in request.read_only else "rw"))
    return found


def _folder(scratch: str, name: str) -> Path:
    folder = Path(scratch, name)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
