"""`ppilot config`: what the settings are, where each came from, and where settings files are looked for.

Reading them is `settings.read`, explaining a site `site.load`.
"""

import argparse
import os
import time
from pathlib import Path

from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.cli.screen import Column
from picard_pilot.settings.read import search_path, settings_file
from picard_pilot.settings.table import TABLE, options_of
from picard_pilot.settings.values import written
from picard_pilot.system.files import is_file


def _configure_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="*", metavar="KEY", help="only these settings")
    parser.add_argument(
        "--origin", action="store_true", help="also where each value comes from, and what else sets it"
    )
    add_options(parser, options_of("run"))


def _show(call: Call) -> int:
    rows = []
    for option in TABLE:
        if call.args.name and not {option.key, option.name} & set(call.args.name):
            continue
        value = getattr(call.settings, option.name)
        rows.append(
            {
                "key": option.key,
                "value": value,
                "written": written(value, option.kind),
                "origin": call.reading.origins[option.name],
                "variable": option.variable,
                "flag": option.flag,
                "help": option.help,
                "reason": option.reason,
            }
        )
    facts = [*_site_rows(call), *_slot_rows(call)]
    _all_found(call, tuple(str(row["key"]) for row in facts))
    rows += [row for row in facts if not call.args.name or row["key"] in call.args.name]
    origin = not call.args.origin
    columns = (
        Column("key", "KEY"),
        Column("written", "VALUE", show=lambda value: value or "-"),
        Column("origin", "FROM", wide=origin),
        Column("variable", "VARIABLE", wide=origin),
        Column("flag", "FLAG", wide=origin),
        Column("reason", "DEFAULT BECAUSE", wide=True),
    )
    call.screen.rows("ppilot.config/1", rows, columns)
    return 0


def _site_rows(call: Call) -> list[dict[str, object]]:
    """The facts of the queue that the settings name, where they also name files about it. Raises SiteError."""
    settings = call.settings
    files = (*settings.storage_files, *settings.site_files)
    if not settings.queue or not files:
        return []
    from picard_pilot.movers import SPEAKERS
    from picard_pilot.site.doubts import doubts
    from picard_pilot.site.load import explain, load_site

    site = load_site(settings.queue, files)
    for note in (*site.notes, *doubts(site, SPEAKERS)):
        call.screen.warn(note)
    return [
        {
            "key": row.key,
            "value": row.value,
            "written": row.value,
            "origin": f"{row.origin.source} {row.origin.detail}".rstrip(),
            "variable": None,
            "flag": None,
            "help": "a fact of the site",
            "reason": None,
        }
        for row in explain(site)
    ]


def _slot_rows(call: Call) -> list[dict[str, object]]:
    """When the slot ends in which this is called, as far as its environment and its files say."""
    from picard_pilot.lifecycle.holding import moment
    from picard_pilot.watch.slot import drain, environment, features

    now, settings = time.time(), call.settings
    found = environment.look(os.environ, now)
    if settings.drain_file:
        found.append(drain.look(Path(settings.drain_file)))
    texts = {key: features.read_file(path) for key, path in features.wanted(os.environ).items()}
    found.append(features.understand({key: text for key, text in texts.items() if text is not None}, now))
    for one in found:
        for doubt in one.doubts:
            call.screen.warn(doubt)
    ends = sorted((end for one in found for end in one.ends if end.at > now), key=lambda end: end.at)
    return [
        {
            "key": "slot.end" if number == 0 else f"slot.end.{number + 1}",
            "value": end.at,
            "written": moment(end.at),
            "origin": f"{end.name} ({end.evidence})",
            "variable": None,
            "flag": None,
            "help": "when the slot of this shell ends",
            "reason": None,
        }
        for number, end in enumerate(ends)
    ]


def _all_found(call: Call, facts: tuple[str, ...]) -> None:
    """Raises CommandTrouble for a key that no option and no fact of the site has."""
    from picard_pilot.cli.exits import CommandTrouble, Exit
    from picard_pilot.model.trouble import nearest

    known = (*(option.key for option in TABLE), *facts)
    for name in call.args.name:
        if name not in known and not hasattr(call.settings, name):
            near = nearest(name, known)
            raise CommandTrouble(
                Exit.NOT_FOUND,
                f"There is no setting {name!r}",
                "nearest: " + ", ".join(near) if near else f"there are {len(known)} settings",
                "`ppilot config show` lists all",
            )


def _path(call: Call) -> int:
    named = call.args.config or os.environ.get("PICARD_CONFIG")
    in_force = settings_file(os.environ, call.args.config)
    paths = [named] if named else list(search_path(os.environ))
    rows = [{"path": path, "exists": is_file(Path(path)), "in_force": path == in_force} for path in paths]
    columns = (
        Column("path", "PATH"),
        Column("exists", "EXISTS", show=lambda exists: "yes" if exists else "no"),
        Column("in_force", "IN FORCE", show=lambda used: "yes" if used else "no"),
    )
    call.screen.rows("ppilot.config-path/1", rows, columns)
    return 0


VERBS = {
    "show": Verb(
        help="show all settings, and where each value comes from",
        examples=(
            "ppilot config show --origin",
            "ppilot config show pilot.lifetime --lifetime 12h --origin",
            "ppilot config show --queue LOCAL --site-file local.toml --origin",
            "ppilot config show --json",
        ),
        configure=_configure_show,
        act=_show,
        see_also="ppilot config path, ppilot help environment",
    ),
    "path": Verb(
        help="show where settings files are looked for",
        examples=("ppilot config path", "PICARD_CONFIG=site.toml ppilot config path --json"),
        configure=lambda parser: None,
        act=_path,
        see_also="ppilot config show",
        needs_settings=False,
    ),
}
