"""All rules of the core, from its themes. Those of an experiment come from its hook `rules`."""

from picard_pilot.diagnosis.rules import (
    batch,
    containers,
    crashes,
    credentials,
    databases,
    disk,
    ends,
    gridtools,
    inputs,
    memory,
    python,
    root_io,
    software,
    web,
    xrootd,
)
from picard_pilot.model.rule import Rule

CORE_RULES: tuple[Rule, ...] = (
    *ends.RULES,
    *batch.RULES,
    *containers.RULES,
    *memory.RULES,
    *disk.RULES,
    *credentials.RULES,
    *software.RULES,
    *xrootd.RULES,
    *gridtools.RULES,
    *web.RULES,
    *databases.RULES,
    *root_io.RULES,
    *inputs.RULES,
    *python.RULES,
    *crashes.RULES,
)
