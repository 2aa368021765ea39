"""system.proc, system.leftovers and the launcher's records: who is who, and what can be believed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from process_kit import go, marked, nothing_survives, until

from picard_pilot.model.command import ProcessId, StartErrorKind
from picard_pilot.system import leftovers, proc, records
from picard_pilot.system.shim import protocol, tree


def test_a_process_is_its_pid_and_its_start() -> None:
    """A pid with another start time is somebody else, and is never signalled."""
    me = proc.myself()
    assert me.pid == os.getpid()
    assert proc.identify(os.getpid()) == me
    assert proc.is_running(me)
    other = ProcessId(pid=me.pid, start_ticks=me.start_ticks + 1)
    assert not proc.is_running(other)
    assert proc.open_pidfd(other) is None
    assert not proc.send_signal(other, signal.SIGKILL)


def test_a_zombie_does_not_run() -> None:
    """It waits to be reaped, that is all."""
    with subprocess.Popen(["/bin/true"]) as child:
        until(lambda: tree.stat_fields(child.pid)[0] == b"Z", "the child to end")
        assert proc.identify(child.pid) is None
    assert tree.stat_fields(child.pid) == []
    assert tree.start_ticks(child.pid) == 0
    assert proc.launcher_usage(ProcessId(pid=child.pid, start_ticks=1)) is None


def test_a_name_with_brackets_and_blanks_is_no_trouble(tmp_path: Path) -> None:
    """The kernel does not escape it in /proc/PID/stat."""
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "1000"]) as child:
        until(lambda: b"a) Z" in Path(f"/proc/{child.pid}/stat").read_bytes(), "the program to run")
        fields = tree.stat_fields(child.pid)
        assert int(fields[1]) == os.getpid()
        assert proc.identify(child.pid) is not None
        child.kill()


def test_ancestors_end_with_the_first_process() -> None:
    """Ourselves first."""
    found = proc.ancestors(os.getpid())
    assert {os.getpid(), os.getppid()} <= found
    assert proc.boot_id().count("-") == 4


def test_leftovers_are_those_that_write_or_carry_the_mark(tmp_path: Path) -> None:
    """Readers of the file and strangers are left alone; so are our own ancestors and ourselves."""
    output = tmp_path / "out"
    with nothing_survives() as mark, output.open("ab") as file:
        key = leftovers.output_key(output)
        assert key is not None
        sleep = ["/bin/sh", "-c", "sleep 1000; :", mark]
        writer = subprocess.Popen(sleep, stdout=file)
        bearer = subprocess.Popen(sleep, env={"LAUNCH": mark})
        with output.open("rb") as reading:
            reader = subprocess.Popen(sleep, stdin=reading)
        try:
            until(lambda: len(marked(mark)) == 3, "all three to run")
            found = {p.pid for p in leftovers.find_leftovers(None, {key}, f"LAUNCH={mark}")}
            assert {writer.pid, bearer.pid} <= found
            assert not found & {reader.pid, os.getpid(), os.getppid()}
            main = proc.identify(bearer.pid)
            only = {p.pid for p in leftovers.find_leftovers(main, set())}
            assert bearer.pid in only
            assert writer.pid not in only
            killed, withstand = go(
                leftovers.kill_leftovers(lambda: leftovers.find_leftovers(None, {key}, f"LAUNCH={mark}"))
            )
            assert killed >= 2
            assert withstand == 0
            assert reader.poll() is None
        finally:
            for process in (writer, bearer, reader):
                for each in proc.descendants(process.pid):
                    proc.send_signal(each, signal.SIGKILL)
                process.kill()
                process.wait()


WORDS = st.text("abcdefghijklmnopqrstuvwxyzABC_0123456789", min_size=1, max_size=40)
VALUES = st.none() | st.integers(-(2**40), 2**40) | st.floats(0, 2e9) | WORDS


@given(st.dictionaries(WORDS, VALUES, min_size=1, max_size=8), st.data())
def test_a_record_is_believed_whole_or_not_at_all(
    fields: dict[str, protocol.Value], data: st.DataObject
) -> None:
    """Any cut, any changed byte: the record is refused."""
    line = protocol.encode_record(fields)
    assert protocol.verified_record(line.ljust(200) + b"\nrest") == line.strip()
    cut = data.draw(st.integers(0, len(line) - 2))
    assert protocol.verified_record(line[:cut]) is None
    at = data.draw(st.integers(0, len(line) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != line[at]))
    changed = line[:at] + bytes([byte]) + line[at + 1 :]
    if b"\n" not in changed[:-1] and not (byte in b" \t\r\x0b\x0c" and at in (0, len(line) - 2)):
        assert protocol.verified_record(changed) in (None, line.strip())


def test_a_whole_record_of_another_protocol_is_refused() -> None:
    """Its checksum is right, its fields are not ours."""
    assert records.decode(protocol.encode_record({"event": "started", "protocol": 2})) is None
    assert records.decode(b"") is None
    assert records.read(Path("/no/such/file")) is None


@pytest.mark.parametrize(
    ("stage", "number", "kind"),
    [
        ("record", 28, StartErrorKind.DISK_FULL),
        ("record", 122, StartErrorKind.DISK_FULL),
        ("record", 5, StartErrorKind.LAUNCHER),
        ("fork", 11, StartErrorKind.NO_RESOURCES),
        ("exec", 12, StartErrorKind.NO_RESOURCES),
        ("exec", 26, StartErrorKind.OTHER),
        ("session", 1, StartErrorKind.LAUNCHER),
        ("output", 13, StartErrorKind.OUTPUT_NOT_WRITABLE),
        ("cwd", 13, StartErrorKind.NO_WORK_DIRECTORY),
    ],
)
def test_each_stage_has_its_reasons(stage: str, number: int, kind: StartErrorKind) -> None:
    """The kernel's words are in the evidence."""
    error = records.start_error(stage, number, argv0="program", cwd="/place")
    assert error.kind is kind
    assert os.strerror(number) in error.evidence


def test_the_launcher_imports_only_itself() -> None:
    """Nothing heavy, and nothing of the pilot: its start is paid for by each command."""
    script = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "import picard_pilot.system.shim.launcher\n"
        "print(sorted(name for name in sys.modules if '.' not in name or 'picard' in name))"
    )
    source = Path(protocol.__file__).parents[3]
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-E", "-c", script, str(source)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for heavy in (
        "'typing'",
        "'collections'",
        "'enum'",
        "'signal'",
        "'os'",
        "'re'",
        "'ctypes'",
        "'json'",
        "msgspec",
    ):
        assert heavy not in said
    ours = [
        word for word in said.split("'") if word.startswith("picard_pilot.system.") and "shim" not in word
    ]
    assert ours == []


def test_a_kernel_that_lists_no_children_is_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some sandboxes do not imitate that file; the answer is the same."""
    with nothing_survives() as mark:
        with subprocess.Popen(["/bin/sh", "-c", "sleep 1000; :", mark]) as child:
            until(lambda: tree.children(child.pid), "the shell to have a child")
            expected = sorted(tree.descendants(child.pid))
            monkeypatch.setattr(tree, "KERNEL_LISTS_CHILDREN", False)
            assert sorted(tree.descendants(child.pid)) == expected
            for each in proc.descendants(child.pid):
                proc.send_signal(each, signal.SIGKILL)
            child.kill()
