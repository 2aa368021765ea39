"""The experiment's hooks as the pilot calls them: with its time limit, and with a consequence when one fails.

What the hooks are is `experiments.base`; how one is called safely is `experiments.hooks`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import msgspec

from picard_pilot.experiments.base import Experiment
from picard_pilot.experiments.hooks import HookFailed, call_hook, names_of
from picard_pilot.model.policy import Refusal
from picard_pilot.model.rule import Rule
from picard_pilot.model.site import LocalFiles
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
            answer = await call_hook(self._limit_s, hook, *args, **kwargs)
            plugin, name = names_of(hook)
            why = _unknown_error(answer) or (None if name in _NOT_WRITTEN_DOWN else _unwritable(answer))
            if why is not None:
                raise HookFailed(plugin, name, why)
        except HookFailed as failed:
            log.error("%s", failed)
            self._plugin_failed()
            raise
        return answer

    async def within(self, hook: str, work: Awaitable[T]) -> T:
        """The result of work that runs what this hook returned, within the hooks' time limit. Raises HookFailed."""
        try:
            async with asyncio.timeout(self._limit_s):
                return await work
        except TimeoutError:
            failed = HookFailed(
                self.experiment.name, hook, f"what it returned was not done after {self._limit_s:g} s"
            )
        log.error("%s", failed)
        self._plugin_failed()
        raise failed

    def local_patterns(self) -> tuple[LocalFiles, ...]:
        """The experiment's patterns of files that lie on the node. Raises HookFailed where they are none."""
        patterns: object = self.experiment.local_patterns
        if isinstance(patterns, tuple) and all(isinstance(pattern, LocalFiles) for pattern in patterns):
            return patterns
        failed = HookFailed(self.experiment.name, "local_patterns", "it is no tuple of LocalFiles")
        log.error("%s", failed)
        self._plugin_failed()
        raise failed


_NOT_WRITTEN_DOWN = ("command", "environment", "rules")
"""Hooks whose answers go to the payload alone: the names of its files need not be text. Rules hold functions."""


def _unknown_error(answer: object) -> str | None:
    """What is wrong with a refusal or with rules: an error that the catalogue does not have, a pattern that is none."""
    for item in answer if isinstance(answer, tuple) else (answer,):
        if isinstance(item, Rule):
            from picard_pilot.diagnosis.rulecheck import unusable

            if (why := unusable(item)) is not None:
                return why
        elif isinstance(item, Refusal) and not _is_error(item.error):
            return f"it names the error {item.error!r}, which is not in the catalogue"
    return None


def _is_error(name: str) -> bool:
    """Whether the catalogue has it. That is loaded here: most jobs neither are refused nor need a rule."""
    from picard_pilot.diagnosis.catalogue.codes import BY_NAME

    return name in BY_NAME


def _unwritable(answer: object) -> str | None:
    """Why an answer could not be kept in a journal or told to a server."""
    try:
        msgspec.json.encode(answer)
    except UnicodeEncodeError:
        return "it returned text with half of a character in it"
    return None
