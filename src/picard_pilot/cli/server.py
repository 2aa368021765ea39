"""`ppilot server`: start, look at, and stop the PanDA-compatible server on this host, and show its token.

What the server does is `server`.
"""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from picard_pilot.cli.exits import CommandTrouble, Exit
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.settings.environment import server_data_dir
from picard_pilot.settings.table import options_of

if TYPE_CHECKING:
    from picard_pilot.server.info import ServerInfo

SCHEMA = "ppilot.server/1"
ROLES = ("pilot", "production", "user")
"""The tokens that a server makes for itself."""


def _configure_start(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--foreground", action="store_true", help="stay in this terminal until Ctrl-C or SIGTERM"
    )
    parser.add_argument("--no-ui", action="store_true", help="without the monitor's pages")
    add_options(parser, options_of("server"))


def _start(call: Call) -> int:
    _needs("uvicorn")
    from picard_pilot.server import control
    from picard_pilot.server.settings import ServerSettings

    data_dir = _data_dir(call)
    settings = ServerSettings(
        data_dir=str(data_dir),
        host=call.settings.server_host,
        port=call.settings.server_port,
        allow_remote=call.settings.server_allow_remote,
        plain_http=call.settings.plain_http,
        pages=not call.args.no_ui,
    )
    with _told():
        if (running := control.status(data_dir)) is not None:
            raise CommandTrouble(
                Exit.CONFLICT,
                f"A server runs in {data_dir} already",
                f"process {running.process.pid} at {running.url}",
                "Use it, stop it with `ppilot server stop`, or name another folder with --data-dir",
            )
        if call.args.foreground:
            control.start_foreground(settings, lambda info: _ready(call, info))
            return Exit.DONE
        _ready(call, control.start_detached(settings))
    return Exit.DONE


def _ready(call: Call, info: ServerInfo) -> None:
    """Tell where the server is, and the one login address."""
    from picard_pilot.server import control

    data_dir = Path(info.data_dir)
    login = None if call.args.no_ui else control.login_url(data_dir)
    text = [f"The server runs at {info.url}, process {info.process.pid}; its data is in {data_dir}"]
    if login:
        text.append(f"Monitor (works once, within ten minutes): {login}")
    text.append(_for_pilots(info))
    text.append("Stop it with `ppilot server stop`.")
    call.screen.record(SCHEMA, {**_facts(info), "login_url": login}, "\n".join(text))
    import sys

    sys.stdout.flush()


def _for_pilots(info: ServerInfo) -> str:
    """How a pilot on this host is led to the server."""
    import shlex

    from picard_pilot.server import control

    authority = ["--ca", info.ca_file] if info.ca_file else ["--plain-http"]
    token_file = str(control.token_file(Path(info.data_dir), "pilot"))
    words = ["--server", info.url, *authority, "--token-file", token_file]
    return f"For pilots: ppilot run -q QUEUE {shlex.join(words)} --site-file FILE"


def _configure(parser: argparse.ArgumentParser) -> None:
    add_options(parser, (option for option in options_of("server") if option.name == "server_data_dir"))


def _status(call: Call) -> int:
    from picard_pilot.server import control

    data_dir = _data_dir(call)
    info = control.status(data_dir)
    if info is None:
        raise _none_runs(data_dir)
    text = f"A server runs at {info.url}, process {info.process.pid}; its data is in {data_dir}\n{_for_pilots(info)}"
    call.screen.record(SCHEMA, _facts(info), text)
    return Exit.DONE


def _stop(call: Call) -> int:
    from picard_pilot.server import control

    data_dir = _data_dir(call)
    with _told():
        if not control.stop(data_dir):
            raise _none_runs(data_dir)
    call.screen.record(
        SCHEMA, {"data_dir": str(data_dir), "running": False}, f"The server in {data_dir} is stopped"
    )
    return Exit.DONE


def _configure_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "role", nargs="?", choices=ROLES, default="production", help="whose token [default production]"
    )
    parser.add_argument("--path", action="store_true", help="print the file's path instead of the token")
    parser.add_argument(
        "--login", action="store_true", help="print a new login address for a browser instead"
    )
    _configure(parser)


def _token(call: Call) -> int:
    _needs("jwt")
    from picard_pilot.server import control

    data_dir = _data_dir(call)
    with _told(Exit.NOT_FOUND):
        if call.args.login:
            name, value = "login_url", control.login_url(data_dir)
        elif call.args.path:
            control.token(data_dir, call.args.role)
            name, value = "token_file", str(control.token_file(data_dir, call.args.role))
        else:
            name, value = "token", control.token(data_dir, call.args.role)
    call.screen.record("ppilot.token/1", {name: value}, value)
    return Exit.DONE


def _data_dir(call: Call) -> Path:
    return server_data_dir(os.environ, call.settings)


def _facts(info: ServerInfo) -> dict[str, Any]:
    return {
        "running": True,
        "url": info.url,
        "host": info.host,
        "port": info.port,
        "pid": info.process.pid,
        "ca_file": info.ca_file,
        "data_dir": info.data_dir,
    }


def _none_runs(data_dir: Path) -> CommandTrouble:
    return CommandTrouble(
        Exit.NOT_FOUND,
        "No server runs on this host",
        f"nothing runs in {data_dir}",
        "Start one with `ppilot server start`, or name its folder with --data-dir",
    )


def _needs(module: str) -> None:
    """Raises CommandTrouble where the packages of the server are not installed: a worker node does not need them."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise CommandTrouble(
            Exit.FAILED,
            "The server's packages are not installed here",
            f"there is no {module}",
            "Install them: pip install 'picard-pilot[server]'",
        )


@contextmanager
def _told(code: Exit = Exit.FAILED) -> Iterator[None]:
    """The server's own errors, whose text has one to three lines, as a command's."""
    from picard_pilot.server.control import ControlError
    from picard_pilot.server.info import ServerRuns
    from picard_pilot.server.settings import SettingsError

    try:
        yield
    except (ControlError, ServerRuns, SettingsError, OSError) as error:
        what, _, rest = str(error).partition("\n")
        evidence, _, advice = rest.partition("\n")
        if os.strerror(errno.EADDRINUSE) in evidence:
            advice = "Name another port with --port; 0 takes any free one"
        exit_code = {ServerRuns: Exit.CONFLICT, SettingsError: Exit.USAGE}.get(type(error), code)
        raise CommandTrouble(
            exit_code,
            what[:1].upper() + what[1:],
            evidence or type(error).__name__,
            advice or "`ppilot server start --help` shows what can be set",
        ) from None


VERBS = {
    "start": Verb(
        help="start a server that goes on when this terminal is closed",
        examples=(
            "ppilot server start",
            "ppilot server start --port 0 --data-dir ./server --json",
            "ppilot server start --foreground",
        ),
        configure=_configure_start,
        act=_start,
        see_also="ppilot server status, ppilot submit",
    ),
    "status": Verb(
        help="say whether a server runs here, and where",
        examples=("ppilot server status", "ppilot server status --json"),
        configure=_configure,
        act=_status,
        see_also="ppilot job list",
    ),
    "stop": Verb(
        help="stop the server; its data stays",
        examples=("ppilot server stop", "ppilot server stop --data-dir ./server"),
        configure=_configure,
        act=_stop,
        see_also="ppilot server start",
    ),
    "token": Verb(
        help="print a token of the server, the path of its file, or a login address for a browser",
        examples=("ppilot server token pilot --path", "ppilot server token --login"),
        configure=_configure_token,
        act=_token,
        takes="[ROLE]",
        see_also="ppilot server status",
    ),
}
