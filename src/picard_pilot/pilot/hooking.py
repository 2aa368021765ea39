"""The experiment's hooks as the pilot calls them: with its time limit, and with a consequence when one fails.

What the hooks are is `experiments.base`; how one is called safely is `experiments.hooks`.
"""

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from picard_pilot.experiments.base import Experiment
from picard_pilot.experiments.hooks import HookFailed, call_hook
from picard_pilot.pilot.parts import Parts

log = logging.getLogger("picard.experiment")

P = ParamSpec("P")
T = TypeVar("T")


class Hooks:
    """Calls hooks of the pilot's experiment."""

    def __init__(self, parts: Parts, plugin_failed: Callable[[], None]) -> None:
        """`plugin_failed` is called when a hook misbehaves: the pilot then takes no further job."""
        self._limit_s = parts.settings.hook_limit_s
        self._plugin_failed = plugin_failed
        self.experiment: Experiment = parts.experiment

    async def call(self, hook: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of a hook, a bound method of `experiment`. Raises HookFailed."""
        try:
            return await call_hook(self._limit_s, hook, *args, **kwargs)
        except HookFailed as failed:
            log.error("%s", failed)
            self._plugin_failed()
            raise
