"""How a demonstration looks in a terminal: an opening, a live table or plain lines, and a summary.

It is told what happens and writes; nothing is decided here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TextIO

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from picard_pilot.server.pages import words
from picard_pilot.server.views import JobRow
from picard_pilot.tools.demo_judge import Verdict
from picard_pilot.tools.scenarios.table import Scenario

#: A job's trip, as its chain of marks shows it.
TRIP = ("starting", "setup", "stagein", "running", "stageout", "finishing")

_FINAL = {"finished": "✓", "failed": "✗", "cancelled": "⊘", "closed": "⊘"}

#: Wide enough for the table, and what a terminal has at least; used where there is no terminal.
PLAIN_WIDTH = 100

#: Paintings of the table per second.
PAINTS_PER_S = 8


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What people should know before the table: what runs, where, and where to look."""

    jobs: int
    meant_to_fail: int
    pilots: int
    server_url: str
    monitor_url: str
    folder: str


class Screen:
    """One demonstration's voice, on stdout. With a terminal a live table, else a line per change."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._console = Console(file=out or sys.stdout, highlight=False, soft_wrap=False)
        if not self._console.is_terminal:
            self._console = Console(
                file=out or sys.stdout, highlight=False, width=PLAIN_WIDTH, soft_wrap=True
            )
        self._live: Live | None = None
        self._said: dict[int, str] = {}
        self._jobs: list[tuple[int, Scenario]] = []

    def open(self, opening: Opening) -> None:
        """The first lines."""
        say = self._console.print
        say()
        say(
            f"[bold]Picard[/] starts a PanDA server of its own on this machine, {words.count(opening.pilots, 'pilot')},"
            f" and {words.count(opening.jobs, 'job')}."
            + (f" Meant to fail: {opening.meant_to_fail} of them." if opening.meant_to_fail else "")
        )
        say()
        say(f"  server   {opening.server_url}  [dim](only this machine can reach it)[/]")
        say(f"  monitor  [bold cyan]{opening.monitor_url}[/]", soft_wrap=True)
        say(f"  folder   {opening.folder}", soft_wrap=True)
        say()

    def follow(self, jobs: Sequence[tuple[int, Scenario]]) -> None:
        """Begin to show these jobs, in this order."""
        self._jobs = list(jobs)
        if self._console.is_terminal:
            self._live = Live(
                self._table({}), console=self._console, refresh_per_second=PAINTS_PER_S, transient=False
            )
            self._live.start()
        else:
            for job_id, scenario in jobs:
                self._console.print(f"job {job_id} ({scenario.name}): {scenario.says}")

    def update(self, rows: Mapping[int, JobRow]) -> None:
        """Show the jobs as they are now."""
        if self._live is not None:
            self._live.update(self._table(rows))
            return
        for job_id, scenario in self._jobs:
            row = rows.get(job_id)
            if row is None:
                continue
            said = _phase(row) + (f" on {_pilot(row)}" if _pilot(row) else "")
            if self._said.get(job_id) != said:
                self._said[job_id] = said
                self._console.print(f"job {job_id} ({scenario.name}): {said}")

    def settle(self) -> None:
        """Leave the table as it stands. May be called twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tell(self, text: str) -> None:
        """One line beside the table."""
        self._console.print(Text(text))

    def summary(self, verdicts: Sequence[Verdict], peak: str | None) -> None:
        """What each job did, why, whether that was meant, and where its files are."""
        self._console.print()
        self._console.print("[bold]What happened[/]")
        for verdict in verdicts:
            self._console.print()
            self._verdict(verdict)
            if verdict.scenario.name == "dimuon" and peak is not None:
                self._console.print(Text(peak, style="cyan"), soft_wrap=True)

    def _verdict(self, verdict: Verdict) -> None:
        ok = not verdict.wrong
        sign, colour = ("✓", "green") if ok else ("✗", "red")
        took = f" in {words.duration(verdict.seconds)}" if verdict.seconds is not None else ""
        meant = "as it should" if ok else "NOT as it should"
        head = Text.assemble(
            (f"  {sign} ", f"bold {colour}"),
            (f"job {verdict.job_id} {verdict.scenario.name}", "bold"),
            f" {verdict.status}{took}, ",
            (meant, colour),
        )
        self._console.print(head)
        self._indented(f"It {verdict.scenario.says}.", "dim")
        if verdict.status == "failed" and verdict.why:
            self._indented(f"The report says: {verdict.why}")
        for difference in verdict.wrong:
            self._indented(f"wrong: {difference}", "red")
        for file in verdict.files:
            state = "checksum verified" if file.wrong is None else file.wrong
            line = f"{file.path or file.lfn}  {words.size(file.size_bytes)}, {state}"
            self._indented(line, None if file.wrong is None else "red")

    def _indented(self, text: str, style: str | None = None) -> None:
        if self._console.is_terminal:
            self._console.print(Padding(Text(text, style=style or ""), (0, 0, 0, 4)))
        else:
            self._console.print(Text(f"    {text}"), soft_wrap=True)

    def close(self, sentence: str, commands: Sequence[tuple[str, str]]) -> None:
        """The verdict on the whole, and what to try next."""
        self._console.print()
        self._console.print(Text(sentence, style="bold"), soft_wrap=True)
        if not commands:
            return
        self._console.print()
        self._console.print("Try next:")
        for command, says in commands:
            self._console.print(Text(f"  {says}", style="dim"), soft_wrap=True)
            self._console.print(Text(f"    {command}", style="bold"), soft_wrap=True)
        self._console.print()

    def _table(self, rows: Mapping[int, JobRow]) -> RenderableType:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for title in ("", "Job", "Scenario", "Trip", "Phase", "Pilot"):
            table.add_column(title, no_wrap=True)
        table.add_column("Seconds", justify="right", no_wrap=True)
        for job_id, scenario in self._jobs:
            row = rows.get(job_id)
            sign, colour = _sign(row, scenario)
            table.add_row(
                Text(sign, style=f"bold {colour}"),
                str(job_id),
                scenario.name,
                _chain(row, colour),
                Text(_phase(row) + _meant(row, scenario), style=colour),
                _pilot(row) or Text("–", style="dim"),
                _seconds(row),
            )
        legend = Text("the trip: " + " › ".join(TRIP), style="dim")
        return Group(Padding(table, (0, 0, 0, 2)), Text(""), Padding(legend, (0, 0, 0, 2)))


def _phase(row: JobRow | None) -> str:
    if row is None or row.status in words.WAITING:
        return "waiting"
    if row.status in ("sent", "starting", "running"):
        return row.sub_status or row.status
    return "finished, being checked" if row.status == "holding" else row.status


def _meant(row: JobRow | None, scenario: Scenario) -> str:
    """Beside a failure: whether it was wanted."""
    if row is None or row.status not in _FINAL or row.status == "finished":
        return ""
    return ", as meant" if row.status == scenario.end.status else ", NOT meant"


def _sign(row: JobRow | None, scenario: Scenario) -> tuple[str, str]:
    if row is None or row.status in words.WAITING:
        return "·", "dim"
    if row.status not in _FINAL:
        return "▸", "cyan"
    return _FINAL[row.status], "green" if row.status == scenario.end.status else "red"


def _chain(row: JobRow | None, colour: str) -> Text:
    """The six phases as marks: done, here, to come."""
    if row is None or row.status in words.WAITING:
        return Text("·" * len(TRIP), style="dim")
    if row.status in _FINAL or row.status == "holding":
        return Text("━" * len(TRIP), style=colour)
    place = TRIP.index(row.sub_status) if row.sub_status in TRIP else 0
    return Text.assemble(("━" * place, "green"), ("▸", "bold cyan"), ("·" * (len(TRIP) - place - 1), "dim"))


def _pilot(row: JobRow | None) -> str | None:
    """The pilot's name: the first part of its id, which the demonstration gave it."""
    return row.pilot_id.partition("|")[0] if row is not None and row.pilot_id else None


def _seconds(row: JobRow | None) -> str:
    if row is None or row.sent_at is None:
        return ""
    until = row.ended_at or datetime.now(UTC)
    return f"{max((until - row.sent_at).total_seconds(), 0.0):.1f}"
