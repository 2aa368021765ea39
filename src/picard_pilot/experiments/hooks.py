"""Calling an experiment's hook: in a thread, with a time limit, its answer checked.

What a failed hook means for the job is decided in `pilot`. This is the plug-in border.
"""

import asyncio
import threading
import typing
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import msgspec

from picard_pilot.experiments.base import Experiment
from picard_pilot.model.trouble import Trouble

P = ParamSpec("P")
T = TypeVar("T")


class HookFailed(Trouble):
    """A hook overran, raised, or returned something else than its type. Names the plug-in and the hook."""

    def __init__(self, plugin: str, hook: str, why: str) -> None:
        super().__init__(
            f"The hook {hook} of the experiment {plugin} failed",
            why,
            f"`ppilot plugin check {plugin}` tests the plug-in; its author has to mend it",
        )
        self.plugin = plugin
        self.hook = hook
        self.why = why


async def call_hook(limit_s: float, hook: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The answer of `hook`, a bound method of an experiment, within `limit_s` seconds. Raises HookFailed.

    A hook that overruns is left to itself in a daemon thread, which nothing can end: take no further job with it.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    plugin, name = names_of(hook)

    def settle(value: T | None, problem: BaseException | None) -> None:
        if done.done():
            return
        if problem is not None:
            done.set_exception(
                HookFailed(plugin, name, f"it raised {type(problem).__name__}: {_said(problem)}")
            )
        else:
            done.set_result(typing.cast(T, value))

    def work() -> None:
        value, problem = None, None
        try:
            value = hook(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - foreign code may raise anything, SystemExit too
            problem = error
        try:
            loop.call_soon_threadsafe(settle, value, problem)
        except RuntimeError:  # the loop was closed while an abandoned hook went on
            return

    threading.Thread(target=work, name=f"hook-{name}", daemon=True).start()
    try:
        async with asyncio.timeout(limit_s):
            value = await done
    except TimeoutError:
        raise HookFailed(plugin, name, f"it was not done after {limit_s:g} s") from None
    wrong = wrong_answer(hook, value)
    if wrong is not None:
        raise HookFailed(plugin, name, wrong)
    return value


def _said(problem: BaseException) -> str:
    """The exception's own text, fit to be written down."""
    try:
        return str(problem).encode("utf-8", "backslashreplace").decode()
    except Exception as error:  # noqa: BLE001 - foreign code makes this text too
        return f"(its text cannot be had: {type(error).__name__})"


def names_of(hook: Callable[..., Any]) -> tuple[str, str]:
    """The plug-in's and the hook's name of a bound method."""
    owner = getattr(hook, "__self__", None)
    plugin = owner.name if isinstance(owner, Experiment) else type(owner).__name__
    return str(plugin), getattr(hook, "__name__", "hook")


def wrong_answer(hook: Callable[..., Any], value: object) -> str | None:
    """What is wrong with the answer of a hook, compared with the type that the interface promises; None if nothing."""
    declared = getattr(Experiment, getattr(hook, "__name__", ""), None)
    if declared is None:
        return None
    wanted = typing.get_type_hints(declared)["return"]
    try:
        meant = msgspec.convert(value, wanted)
        if _reads_like_a_struct(meant, value):
            return f"it returned {type(value).__name__}, not what the interface says: {wanted}"
        if isinstance(value, msgspec.Struct):
            # A struct made in Python does not check its fields; this does.
            msgspec.convert(msgspec.to_builtins(value), type(value))
    except (msgspec.ValidationError, TypeError) as error:
        return f"it returned {type(value).__name__}, not what the interface says: {error}"
    return None


def _reads_like_a_struct(meant: object, value: Any) -> bool:
    """Whether `value` or a part of it is a dictionary in place of a struct: it converts, but has no fields to ask."""
    if isinstance(meant, tuple):
        return any(map(_reads_like_a_struct, meant, value))
    return isinstance(meant, msgspec.Struct) and not isinstance(value, msgspec.Struct)
