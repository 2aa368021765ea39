"""`ppilot help`: what the commands' own help has no room for. The texts are `cli.topics`."""

import argparse

from picard_pilot.cli.exits import CommandTrouble, Exit
from picard_pilot.cli.frame import Call, Verb
from picard_pilot.cli.topics import TOPICS
from picard_pilot.model.trouble import nearest


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help=", ".join(TOPICS))


def _help(call: Call) -> int:
    name: str | None = call.args.topic
    if name is None:
        data = {topic: about for topic, (about, _) in TOPICS.items()}
        lines = "\n".join(f"  {topic:<12} {about}" for topic, about in data.items())
        call.screen.record("ppilot.help/1", data, f"topics:\n{lines}\n\n`ppilot --help` lists the commands.")
        return Exit.DONE
    if name not in TOPICS:
        near = nearest(name, tuple(TOPICS))
        raise CommandTrouble(
            Exit.NOT_FOUND,
            f"There is no help on {name!r}",
            "nearest: " + ", ".join(near) if near else "topics: " + ", ".join(TOPICS),
            "`ppilot help` lists the topics, `ppilot --help` the commands",
        )
    text = TOPICS[name][1]()
    call.screen.record("ppilot.help/1", {"topic": name, "text": text}, text)
    return Exit.DONE


VERBS = {
    "help": Verb(
        help="about states, exit codes, environment, files, signals",
        examples=("ppilot help", "ppilot help exit-codes"),
        configure=_configure,
        act=_help,
        takes="[TOPIC]",
        see_also="ppilot --help",
        needs_settings=False,
    )
}
