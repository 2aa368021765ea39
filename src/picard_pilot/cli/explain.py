"""`ppilot explain`: what an error means, where it comes from, and what to do about it.

It needs no server, but for a fingerprint: what that stands for is what jobs left.

The texts are the catalogue's; how they are told is `tools.explain`.
"""

import argparse

from picard_pilot.cli.exits import CommandTrouble, Exit, UsageTrouble
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.cli.screen import Column
from picard_pilot.settings.table import options_of

_READERS = ("user", "shift", "site")

_LIST = "ppilot.catalogue/1"

_COLUMNS = (
    Column("number", "CODE"),
    Column("name", "NAME"),
    Column("component", "COMPONENT", wide=True),
    Column("category", "CATEGORY", wide=True),
    Column("blame", "WHO"),
    Column("retry", "RETRY"),
    Column("summary", "WHAT IT MEANS"),
)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="*",
        metavar="ERROR",
        help="a number or name of an error, an exit code (`exit 64`), a signal, a class of transfers (stagein/contact),"
        " the fingerprint of an error that no rule explains (fp1:...)",
    )
    parser.add_argument("--for", dest="reader", choices=_READERS, help="only the advice for this reader")
    parser.add_argument("--list", action="store_true", help="list all errors")
    parser.add_argument(
        "--search", nargs="+", metavar="WORDS", help="list the errors whose texts hold all these words"
    )
    parser.add_argument(
        "--codes",
        action="store_true",
        help="print {code: [name, message]} as JSON, for tools beside Harvester",
    )
    add_options(parser, options_of("job"))


def _explain(call: Call) -> int:
    args = call.args
    asked = [bool(args.what), args.list, args.search is not None, args.codes]
    if sum(asked) != 1:
        raise UsageTrouble(
            "ppilot explain: name one error, or one of --list, --search and --codes",
            "nothing was named" if not any(asked) else "more than one thing was asked",
            "Try `ppilot explain 1099`, or `ppilot explain --list`",
        )
    if args.codes:
        return _codes(call)
    if args.list:
        return _list(call)
    return (
        _search(call, " ".join(args.search)) if args.search is not None else _one(call, " ".join(args.what))
    )


def _one(call: Call, words: str) -> int:
    from picard_pilot.diagnosis.catalogue.lookup import Undocumented, Unknown, look_up
    from picard_pilot.diagnosis.catalogue.plain import SCHEMA, data
    from picard_pilot.diagnosis.catalogue.row import Reader
    from picard_pilot.tools.explain import told
    from picard_pilot.wire.error_notes import is_fingerprint

    if is_fingerprint(words):
        from picard_pilot.cli.errors import explain_fingerprint

        return explain_fingerprint(call, words)
    reader = Reader(call.args.reader) if call.args.reader else None
    try:
        found = look_up(words)
    except (Unknown, Undocumented) as problem:
        raise CommandTrouble(Exit.NOT_FOUND, problem.what, problem.evidence, problem.next_step) from None
    call.screen.record(SCHEMA, data(found, reader), told(found, reader))
    return Exit.DONE


def _list(call: Call) -> int:
    from picard_pilot.diagnosis.catalogue.codes import ROWS
    from picard_pilot.diagnosis.catalogue.plain import brief

    call.screen.rows(_LIST, [brief(row) for row in ROWS], _COLUMNS)
    return Exit.DONE


def _search(call: Call, words: str) -> int:
    from picard_pilot.diagnosis.catalogue.lookup import search
    from picard_pilot.diagnosis.catalogue.plain import brief

    found = search(words)
    if not found or not words.strip():
        raise CommandTrouble(
            Exit.NOT_FOUND,
            f"No error's text holds all of {words!r}",
            "searched: numbers, names, summaries, causes and advice",
            "Try fewer words, or `ppilot explain --list`",
        )
    call.screen.rows(_LIST, [brief(row) for row in found], _COLUMNS)
    return Exit.DONE


def _codes(call: Call) -> int:
    import msgspec

    from picard_pilot.diagnosis.catalogue.plain import codes_and_names

    call.screen.text(msgspec.json.format(msgspec.json.encode(codes_and_names()), indent=1).decode())
    return Exit.DONE


VERBS = {
    "explain": Verb(
        help="explain an error by its number, name, exit code, signal or fingerprint",
        examples=(
            "ppilot explain 1099",
            "ppilot explain STAGEINFAILED --for site",
            "ppilot explain exit 64",
            "ppilot explain stagein/contact",
            "ppilot explain fp1:0123456789ab",
            "ppilot explain --search memory",
        ),
        configure=_configure,
        act=_explain,
        takes="ERROR",
        see_also="ppilot help exit-codes",
    )
}
