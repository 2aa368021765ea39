"""Writing down how a payload is started, before it is: for whoever wants to see it fail again.

It goes into the job's log archive. A disk that does not take it costs the replay, not the job.
"""

import os
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from picard_pilot.experiments.environment import is_secret
from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.job import Job
from picard_pilot.model.policy import Container
from picard_pilot.model.recipe import (
    JOB_DIRECTORY,
    RECIPE_NAME,
    Recipe,
    RecipeInput,
    RecipeNode,
)
from picard_pilot.model.version import VERSION
from picard_pilot.payload.launch import LaunchSpec
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.status import replace_view
from picard_pilot.pilot.work import JobWork
from picard_pilot.settings.table import TABLE
from picard_pilot.settings.values import written

RELEASE = Path("/etc/os-release")


def note_recipe(
    parts: Parts, work: JobWork, spec: LaunchSpec, container: Container | None, secrets: Collection[str]
) -> None:
    """Write the recipe of this launch. `spec` is the launch before it is confined; `secrets` are variables that the
    payload gets and nobody may read here. Never raises."""
    recipe = made(parts, work, spec, container, secrets)
    replace_view(Path(work.bundle.private, RECIPE_NAME), msgspec.json.encode(recipe) + b"\n")


def made(
    parts: Parts, work: JobWork, spec: LaunchSpec, container: Container | None, secrets: Collection[str]
) -> Recipe:
    """The recipe as a value."""
    job, redactor = work.case.job, parts.log.redactor
    withheld = {name for name, value in spec.env.items() if name in secrets or is_secret(name, value)}
    # What is no text cannot be told either: a node's variables may be in another encoding than UTF-8.
    withheld |= {name for name, value in spec.env.items() if not _is_text(name + value)}
    told = {name: value for name, value in spec.env.items() if name not in withheld}

    def placed(text: str) -> str:
        return redactor.text(_as_text(text.replace(spec.cwd, JOB_DIRECTORY)))

    return Recipe(
        job_id=job.job_id,
        attempt_nr=job.attempt_nr,
        name=job.name,
        queue=work.case.queue,
        experiment=parts.experiment.name,
        version=VERSION,
        argv=tuple(map(placed, spec.argv)),
        environment={name: placed(value) for name, value in told.items()},
        changed=tuple(sorted(name for name in told if parts.environ.get(name) != told[name])),
        withheld=tuple(sorted(map(_as_text, withheld))),
        container=None if container is None else container.image,
        output_limit_bytes=spec.output_limit_bytes,
        inputs=tuple(_inputs(job, work)),
        outputs=tuple(file.lfn for file in job.outputs),
        settings=_settings(parts, lambda text: redactor.text(_as_text(text))),
        node=_node(parts.node.cores),
    )


def _is_text(text: str) -> bool:
    """Whether JSON can hold it."""
    return text == _as_text(text)


def _as_text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _inputs(job: Job, work: JobWork) -> list[RecipeInput]:
    found = []
    for file in job.inputs:
        staged = work.case.staged.get(file.lfn)
        size = file.size_bytes if file.size_bytes is not None else (staged.size_bytes if staged else None)
        found.append(
            RecipeInput(
                lfn=file.lfn,
                scope=file.scope,
                guid=file.guid,
                size_bytes=size,
                checksum=None if file.checksum is None else _SHORT[file.checksum.kind] + file.checksum.value,
                surl=None if staged is None else _without_query(staged.surl),
                endpoint=None if staged is None else staged.endpoint,
                how=None if staged is None else staged.how,
                turl=None if staged is None or staged.turl is None else _without_query(staged.turl),
            )
        )
    return found


_SHORT = {ChecksumKind.ADLER32: "ad:", ChecksumKind.MD5: "md5:"}


def _without_query(address: str) -> str:
    """A query may hold a signature, with which anybody could read the file."""
    return address.partition("?")[0]


def _settings(parts: Parts, clean: Callable[[str], str]) -> dict[str, str]:
    values = msgspec.structs.asdict(parts.settings)
    return {
        option.name: clean(written(values[option.name], option.kind))
        for option in TABLE
        if option.name in values
    }


def _node(cores: int) -> RecipeNode:
    about = os.uname()
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):  # another C library
        libc = None
    return RecipeNode(system=_release(), kernel=about.release, machine=about.machine, libc=libc, cores=cores)


def _release() -> str | None:
    """The distribution's own name for itself."""
    try:
        text = RELEASE.read_text("utf-8", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip().strip("\"'") or None
    return None
