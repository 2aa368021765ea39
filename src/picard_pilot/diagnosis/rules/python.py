"""Rules for Python programs that ended by an exception: the user's code or installed software, by the stack.

Exceptions that say why (no memory, no space, no module) are explained by the rules of those themes.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from picard_pilot.model.facts import Facts, Line
from picard_pilot.model.fault import Blame, Evidence, Retry
from picard_pilot.model.rule import Hit, Rule, Specificity, Where
from picard_pilot.model.samples import failed

_BEGIN = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_EXCEPTION = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*)(?:: (?P<text>.*))?$")
_ASKED_TO_END = ("KeyboardInterrupt", "SystemExit")
_SOFTWARE = ("/cvmfs/",)
"""Where releases are installed. A library in site-packages is called by somebody: that one's frame is there too."""
_PYTHONS_OWN = ("<frozen ", "<string>", "<stdin>")


class _Traceback(NamedTuple):
    """One traceback: its log, the line with the exception, the files of its frames."""

    log: str
    line: Line
    kind: str
    files: tuple[str, ...]
    last: str

    @property
    def in_software(self) -> bool:
        """Whether all of the code in it is installed software."""
        own = [file for file in self.files if not file.startswith(_PYTHONS_OWN)]
        return bool(own) and all(file.startswith(_SOFTWARE) for file in own)


def _tracebacks(facts: Facts) -> Iterator[_Traceback]:
    for name in facts.logs:
        files: list[str] | None = None
        last = ""
        for _, line in facts.lines(name):
            text = line.said
            if text.endswith(_BEGIN):
                files, last = [], ""
            elif files is not None and (frame := _FRAME.match(text)):
                files.append(frame["file"])
                last = f"{frame['file']}, line {frame['line']}"
            elif files is not None and not text[:1].isspace():
                if said := _EXCEPTION.match(text):
                    yield _Traceback(name, line, said["kind"], tuple(files), last)
                files = None


def _last(facts: Facts) -> _Traceback | None:
    found = [one for one in _tracebacks(facts) if one.kind not in _ASKED_TO_END]
    return found[-1] if found else None


def _hit(found: _Traceback) -> Hit:
    return Hit(
        evidence=(
            found.line.evidence(found.log),
            Evidence(text=found.last or "no frame"),
        ),
        words={"kind": found.kind},
    )


def _in_software(facts: Facts) -> Hit | None:
    found = _last(facts)
    return _hit(found) if found is not None and found.in_software else None


def _in_user_code(facts: Facts) -> Hit | None:
    found = _last(facts)
    return _hit(found) if found is not None and not found.in_software else None


def _module_of_software(facts: Facts) -> Hit | None:
    found = _last(facts)
    missing = found is not None and found.kind in ("ModuleNotFoundError", "ImportError")
    return _hit(found) if found is not None and missing and found.in_software else None


def _traceback(*files: str, ends: str) -> str:
    frames = "".join(f'  File "{file}", line 7, in run\n    step()\n' for file in files)
    return f"{_BEGIN}\n{frames}{ends}\n"


RULES: tuple[Rule, ...] = (
    Rule(
        name="python.user_code",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=_in_user_code,
        specificity=Specificity.ENDING + 3,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="the user's Python code ended by {kind}",
        advice="Mend the code at the line that the evidence names; the whole traceback is in the log "
        "archive.",
        sample=failed(1, stderr=_traceback("/srv/ana.py", ends="KeyError: 'Muon_pt'")),
        counter_sample=failed(1, stderr=_traceback("/srv/ana.py", ends="KeyboardInterrupt")),
    ),
    Rule(
        name="python.software",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=_in_software,
        specificity=Specificity.ENDING + 3,
        blame=Blame.EXPERIMENT,
        retry=Retry.NEVER,
        says="the experiment's software ended by a Python exception, {kind}; no code of the user is in its "
        "stack",
        advice="Report it to the release's developers with the traceback and the job's options.",
        sample=failed(
            1, stderr=_traceback("/cvmfs/sw.example.org/v1/bin/run.py", ends="ValueError: no geometry")
        ),
        counter_sample=failed(
            1, stderr=_traceback("/cvmfs/sw.example.org/v1/bin/run.py", "/srv/my.py", ends="ValueError: no")
        ),
    ),
    Rule(
        name="python.no_module",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"^(?:ModuleNotFoundError|ImportError): (?:No module named '?(?P<module>[\w.]+)|cannot import "
        r"name)",
        is_pattern=True,
        specificity=Specificity.FAILURE,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="a Python module that the program imports is not there",
        advice="Send the module with the job, or set up a release that has it.",
        sample="ModuleNotFoundError: No module named 'mylib'",
        counter_sample="WARNING module mylib not used",
    ),
    Rule(
        name="python.no_module_of_software",
        error="MISSINGINSTALLATION",
        where=Where.LOGS,
        when=_module_of_software,
        specificity=Specificity.FAILURE + 2,
        blame=Blame.EXPERIMENT,
        says="installed software imports a Python module that is not installed",
        advice="Check that the release is complete and set up as its authors say; report it to them if it "
        "is.",
        sample=failed(
            1, stderr=_traceback("/cvmfs/sw.example.org/v1/run.py", ends="ImportError: No module named 'geo'")
        ),
        counter_sample=failed(1, stderr=_traceback("/srv/ana.py", ends="ImportError: No module named 'geo'")),
    ),
    Rule(
        name="python.syntax",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"^(?P<kind>SyntaxError|IndentationError|TabError): ",
        is_pattern=True,
        specificity=Specificity.FAILURE,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="the program is no valid Python for the interpreter that ran it ({kind})",
        advice="Mend the line that the evidence names; print statements without brackets are of Python 2.",
        sample="SyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?",
        counter_sample="SyntaxWarning: invalid escape sequence",
    ),
    Rule(
        name="python.not_installed",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"ERROR: (?:No matching distribution found for|Could not find a version that satisfies the "
        r"requirement) "
        r"(?P<module>\S+)|PackagesNotFoundError|ResolvePackageNotFound",
        is_pattern=True,
        specificity=Specificity.FAILURE + 3,
        blame=Blame.PAYLOAD,
        says="the payload could not install a package that it wants",
        advice="Install it before the job is sent, into the archive or a container: many nodes reach no "
        "index of packages.",
        sample="ERROR: No matching distribution found for mytools==1.2",
        counter_sample="Successfully installed mytools-1.2",
    ),
)
