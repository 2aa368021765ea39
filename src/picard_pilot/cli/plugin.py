"""`ppilot plugin`: which plug-ins there are, what they override, and whether they keep the rules.

Finding and loading them is `plugins.loader`; the rules are `testing.experiment_suite`, `testing.mover_check` and
`testing.isolation_check`.
"""

import argparse
from typing import TYPE_CHECKING

from picard_pilot.cli.exits import CommandTrouble, Exit
from picard_pilot.cli.frame import Call, Verb
from picard_pilot.cli.screen import Column
from picard_pilot.plugins.loader import FAMILIES, PluginError, describe, find, list_plugins, load

if TYPE_CHECKING:
    from picard_pilot.testing.experiment_suite import Finding

_KINDS = tuple(FAMILIES)


def _configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=_KINDS, help="only plug-ins of this kind")


def _list(call: Call) -> int:
    rows = [
        {"kind": kind, "name": found.name, "package": found.source, "path": found.path}
        for kind in _KINDS
        if call.args.kind in (None, kind)
        for found in list_plugins(kind)
    ]
    columns = (
        Column("kind", "KIND"),
        Column("name", "NAME"),
        Column("package", "PACKAGE"),
        Column("path", "CLASS"),
    )
    call.screen.rows("ppilot.plugin/1", rows, columns)
    return Exit.DONE


def _configure_one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a name of `ppilot plugin list`, or module:Class")
    parser.add_argument("--kind", choices=_KINDS, help="look for a plug-in of this kind only")


def _show(call: Call) -> int:
    kind = _kind_of(call)
    found = find(kind, call.args.name)
    hooks = describe(kind, call.args.name)
    data = {
        "kind": kind,
        "name": found.name,
        "package": found.source,
        "path": found.path,
        "hooks": [hook._asdict() for hook in hooks],
    }
    width = max(len(hook.name) for hook in hooks)
    lines = [f"{kind} {found.name}, class {found.path}, from {found.source}", ""]
    for hook in hooks:
        mark = "own    " if hook.overridden else "default"
        lines.append(f"  {hook.name:<{width}}  {mark}  {hook.origin}")
        lines.append(f"  {'':<{width}}           {hook.summary}")
    call.screen.record("ppilot.plugin/1", data, "\n".join(lines))
    return Exit.DONE


def _configure_check(parser: argparse.ArgumentParser) -> None:
    _configure_one(parser)
    parser.add_argument(
        "--limit",
        type=float,
        metavar="SECONDS",
        help="time limit of one hook [default 30], or transfer [120]",
    )
    parser.add_argument(
        "--storage", metavar="ADDRESS", help="for a mover: a folder of its storage that can be spared"
    )
    parser.add_argument("--image", metavar="PATH", help="for a way to confine: the image to run in")
    parser.add_argument("--all", action="store_true", help="also list the checks that hold")


def _check(call: Call) -> int:
    findings = _findings(call)
    bad = [finding for finding in findings if not finding.holds]
    shown = findings if call.args.all or call.screen.json else bad
    if shown or call.screen.json:
        columns = (
            Column("holds", "", show=lambda holds: "ok" if holds else call.screen.paint("FAIL", "red")),
            Column("check", "CHECK"),
            Column("subject", "ON"),
            Column("says", "BECAUSE", show=lambda text: text),
        )
        rows = [finding._asdict() | {"says": "" if finding.holds else finding.says} for finding in shown]
        call.screen.rows("ppilot.plugin-check/1", rows, columns)
    call.screen.say(f"{call.args.name}: {len(findings) - len(bad)} of {len(findings)} checks hold")
    return Exit.PROBLEMS_FOUND if bad else Exit.DONE


def _findings(call: Call) -> tuple["Finding", ...]:
    """Every check of the plug-in's kind. Raises CommandTrouble where a mover has no storage to be tried on."""
    kind = _kind_of(call)
    if kind == "experiment":
        from picard_pilot.testing.experiment_suite import HOOK_LIMIT_S, examine

        return examine(load(kind, call.args.name), call.args.limit or HOOK_LIMIT_S)
    if kind == "isolation":
        from picard_pilot.testing import isolation_check

        return isolation_check.examine(load(kind, call.args.name), call.args.image)
    if not call.args.storage:
        raise CommandTrouble(
            Exit.USAGE,
            f"{call.args.name} is a mover, and there is no storage to try it on",
            "a mover is proved by transferring files",
            "Name a folder of its storage that can be spared: `--storage ADDRESS`",
        )
    _require_scheme(call.args.name, call.args.storage)
    from picard_pilot.testing import mover_check

    limit_s = call.args.limit or mover_check.TRANSFER_LIMIT_S
    return mover_check.examine(call.args.name, call.args.storage, limit_s)


def _require_scheme(mover: str, storage: str) -> None:
    """Raises CommandTrouble where another mover would be tried than the one that is named."""
    from picard_pilot.model.transfer import ANY_SCHEME
    from picard_pilot.movers import SPEAKERS

    scheme, separator, _ = storage.partition("://")
    spoken = load("mover", mover).schemes
    if separator and (scheme.lower() in spoken or ANY_SCHEME in spoken):
        return
    others = SPEAKERS.get(scheme.lower(), ())
    raise CommandTrouble(
        Exit.USAGE,
        f"The mover {mover} does not speak {scheme}://" if separator else f"{storage!r} is no address",
        f"it speaks {', '.join(f'{word}://' for word in spoken) or 'no scheme: it moves nothing'}",
        f"Try the mover {others[0]} on it" if others else "Name an address of one of these schemes",
    )


def _kind_of(call: Call) -> str:
    """The kind of the plug-in that is named. Raises CommandTrouble (not found) with what the loader says."""
    problem: PluginError | None = None
    for kind in _KINDS if call.args.kind is None else (call.args.kind,):
        try:
            load(kind, call.args.name)
        except PluginError as error:
            problem = problem or error
        else:
            return str(kind)
    assert problem is not None
    raise CommandTrouble(Exit.NOT_FOUND, problem.what, problem.evidence, problem.next_step)


VERBS = {
    "list": Verb(
        help="list the plug-ins that are installed: experiments, movers, ways to confine",
        examples=("ppilot plugin list", "ppilot plugin list --kind experiment --json"),
        configure=_configure_list,
        act=_list,
        see_also="ppilot plugin show",
    ),
    "show": Verb(
        help="show a plug-in: which hooks are its own, and where they come from",
        examples=("ppilot plugin show generic", "ppilot plugin show my_package.physics:MyExperiment"),
        configure=_configure_one,
        act=_show,
        takes="NAME",
        see_also="ppilot plugin check",
    ),
    "check": Verb(
        help="check a plug-in: an experiment, a mover on a folder of its storage, a way to confine on this node",
        examples=(
            "ppilot plugin check generic",
            "ppilot plugin check my_package.physics:MyExperiment --all",
            "ppilot plugin check external:/site/mover --storage mounted://scratch",
            "ppilot plugin check bubblewrap --all",
        ),
        configure=_configure_check,
        act=_check,
        takes="NAME",
        see_also="ppilot plugin show",
    ),
}
