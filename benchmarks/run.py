"""`make bench`: speed and size of the pilot and its server, measured on this machine, printed and not judged.

Each part makes its own directories and processes and ends them. What is measured is in the files beside this one.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

import accounting
import diagnosis
import hands
import http_transfers
import jobs
import rest
import small_files
import stagein
import start
import watch
import xrootd_transfers
from figures import Figure, print_table

SERVER = Path(__file__).with_name("server.py")


class Part:
    """One part of the benchmark: its title and what it measures."""

    def __init__(self, title: str, *measures: Callable[[], list[Figure]]) -> None:
        self.title = title
        self.measures = measures

    def run(self) -> None:
        """Measure and print."""
        print_table(self.title, [figure for measure in self.measures for figure in measure()])


PARTS = {
    "start": Part(
        "A pilot's start",
        lambda: start.ready_to_ask(20),
        lambda: start.whole_pilot(10),
    ),
    "jobs": Part("Jobs in one pilot", lambda: jobs.per_job(100)),
    "hands": Part(
        "Commands, journal, transfers",
        lambda: hands.commands(50),
        lambda: hands.journal(200),
        lambda: hands.transfers(5),
    ),
    "stagein": Part("Stage-in", lambda: stagein.one_small_input(20), lambda: stagein.many_inputs(3)),
    "xrootd": Part(
        "Transfers by the xrootd mover",
        lambda: xrootd_transfers.large_file(3),
        xrootd_transfers.small_files,
        lambda: xrootd_transfers.small_files(small_files.ROUND_TRIP_MS),
    ),
    "http": Part(
        "Transfers by the http mover",
        lambda: http_transfers.large_file(3),
        http_transfers.small_files,
        lambda: http_transfers.mover_alone(5),
        lambda: http_transfers.small_files(small_files.ROUND_TRIP_MS),
        lambda: http_transfers.checksum_share(5),
    ),
    "idle": Part("Beside a sleeping payload", lambda: rest.idle(25.0)),
    "diagnosis": Part(
        "Diagnosing payloads",
        lambda: diagnosis.large_log(5),
        lambda: diagnosis.good_end(200),
        lambda: diagnosis.corpus(5),
    ),
    "cost": Part("The account of a slot", lambda: accounting.slots(3)),
    "watch": Part("Watching a payload of 100 processes", lambda: watch.watch(20)),
}

ALL = (*PARTS, "server")


def main() -> None:
    """Run the parts that were asked for, by default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(ALL)}; by default all")
    wanted = parser.parse_args().parts or ALL
    if unknown := set(wanted) - set(ALL):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(ALL)}")
    # Everything is ended on the way out, also where a shell ignores SIGINT for what runs in its background.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"files in {gettempdir()}.\n"
        "Other work on the machine makes every figure larger; the references beside them say by how much."
    )
    for name in wanted:
        if name in PARTS:
            PARTS[name].run()
    if "server" in wanted:
        _run_server()


def _run_server() -> None:
    print(
        "\nThe embedded server: goals 1,000 heartbeats/s, 100 cycles/s, p99 50 ms at half of that", flush=True
    )
    with subprocess.Popen([sys.executable, str(SERVER), "--seconds", "5"]) as started:
        try:
            started.wait()
        except SystemExit:
            started.send_signal(
                signal.SIGINT
            )  # as Ctrl-C, which the terminal sends to both: it ends its server
            raise


if __name__ == "__main__":
    main()
