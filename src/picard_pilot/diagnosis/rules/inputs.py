"""Rules for what the user gave the job: options that a program rejects, code that cannot be fetched, bad arguments."""

import re

from picard_pilot.model.facts import Facts
from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Hit, Rule, Specificity, Where
from picard_pilot.model.samples import failed

_TARBALL = re.compile(r"\b(?:sources|jobO)\.[\w-]+\.t(?:ar\.)?gz\b")
_GONE = re.compile(r"\b(?:404|410)\b|[Nn]ot [Ff]ound|does not exist|no longer")
_REFUSED = re.compile(r"\b50[0-4]\b|timed? ?out|refused|resolve|[Uu]nable|[Cc]ould not|[Cc]annot|[Ff]ailed")
_NEAR = 3
"""Lines after the one that names the archive, in which the download program says what happened."""


def _tarball(facts: Facts, what: re.Pattern[str]) -> Hit | None:
    """A line that says so of a user's archive, or close below one that names it."""
    for name in facts.logs:
        since, archive = _NEAR + 1, ""
        for _, line in facts.lines(name):
            named = _TARBALL.search(line.text) if "gz" in line.text else None
            since, archive = (0, named.group()) if named else (since + 1, archive)
            if since <= _NEAR and what.search(line.text):
                return Hit(evidence=(line.evidence(name),), words={"archive": archive})
    return None


def _code_gone(facts: Facts) -> Hit | None:
    return _tarball(facts, _GONE)


def _code_not_fetched(facts: Facts) -> Hit | None:
    return None if _code_gone(facts) else _tarball(facts, _REFUSED)


_WGET = (
    "--2026-11-02 10:00:00--  https://panda.example.org/cache/{}\nHTTP request sent, awaiting response... {}"
)

RULES: tuple[Rule, ...] = (
    Rule(
        name="inputs.code_gone",
        error="MISSINGUSERCODE",
        where=Where.OUTPUT,
        when=_code_gone,
        specificity=Specificity.CERTAIN,
        blame=Blame.USER_INPUT,
        retry=Retry.NEVER,
        says="the user's code, {archive}, is no longer on the server",
        advice="Submit the task again: archives of code are kept for some weeks only.",
        sample=failed(1, stderr=_WGET.format("sources.4d1f-9a.tar.gz", "404 Not Found")),
        counter_sample=failed(1, stderr=_WGET.format("sources.4d1f-9a.tar.gz", "200 OK")),
    ),
    Rule(
        name="inputs.code_not_fetched",
        error="NOUSERTARBALL",
        where=Where.OUTPUT,
        when=_code_not_fetched,
        specificity=Specificity.CERTAIN - 1,
        retry=Retry.ELSEWHERE,
        says="the user's code, {archive}, could not be fetched from the server",
        advice="Check that nodes of this site reach the server's cache, directly or by the site's proxy.",
        sample=failed(1, stderr=_WGET.format("sources.4d1f-9a.tar.gz", "503 Service Unavailable")),
        counter_sample=failed(1, stderr=_WGET.format("data.tar.gz", "503 Service Unavailable")),
    ),
    Rule(
        name="inputs.bad_option",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.OUTPUT,
        when=r"^\S+: error: (?:unrecognized arguments|the following arguments are required|argument \S+: "
        r"|no such option|"
        r"ambiguous option|unknown option)|: (?:unrecognized|invalid|unknown) option(?: --)? ?(?:'|--|-)|"
        r"^Error: No such option",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.USER_INPUT,
        retry=Retry.NEVER,
        says="a program rejected its options",
        advice="Mend the job's parameters; the program's own --help says which options it has.",
        sample="ana.py: error: unrecognized arguments: --maxevents 100",
        counter_sample="ana.py: arguments: --max-events 100",
    ),
    Rule(
        name="inputs.usage",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.OUTPUT,
        when=r"^[Uu]sage: \S+",
        is_pattern=True,
        exits=(1, 2, 64),
        specificity=Specificity.HINT,
        blame=Blame.USER_INPUT,
        retry=Retry.NEVER,
        says="a program printed how it is to be called, as it does when its options are wrong",
        advice="Compare the job's parameters with the usage that it printed.",
        sample="Usage: ana [options] FILE...",
        counter_sample="memory usage: 12 MB",
    ),
    Rule(
        name="inputs.archive_damaged",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.OUTPUT,
        when=r"gzip: stdin: (?:not in gzip format|unexpected end of file|invalid compressed data)|"
        r"tar: (?:This does not look like a tar archive|Unexpected EOF in "
        r"archive)|End-of-central-directory signature not "
        r"found|zipfile\.BadZipFile|lzma\.LZMAError|gzip\.BadGzipFile",
        is_pattern=True,
        specificity=Specificity.CAUSE - 1,
        blame=Blame.USER_INPUT,
        says="an archive that the payload unpacks is damaged or is none",
        advice="Check the archive's size and checksum where it comes from; an error page may have been "
        "saved instead.",
        sample="gzip: stdin: not in gzip format\ntar: Child returned status 1",
        counter_sample="tar: removing leading '/' from member names",
    ),
    Rule(
        name="inputs.setup",
        error="SETUPFATAL",
        where=Where.OUTPUT,
        when=r"(?:asetup|lsetup|setupATLAS|CMake Error|spack load|module): .*(?:fatal|FATAL)|^Lmod has "
        r"detected the following "
        r"error|ERROR: Unable to locate a modulefile|^CMake Error at ",
        is_pattern=True,
        specificity=Specificity.FAILURE + 1,
        blame=Blame.EXPERIMENT,
        says="the payload's own set-up of its software failed",
        advice="Check the names of releases and modules that the payload sets up against what the node "
        "offers.",
        sample='Lmod has detected the following error: The following module(s) are unknown: "root/6.99"',
        counter_sample="module: loaded root/6.32",
    ),
)
