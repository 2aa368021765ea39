"""All rules of the core, from its themes. Those of an experiment come from its hook `rules`."""

from picard_pilot.diagnosis.rules import memory
from picard_pilot.model.rule import Rule

CORE_RULES: tuple[Rule, ...] = (*memory.RULES,)
