"""A job's line is split as a shell would split it, and nothing of it is ever obeyed."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picard_pilot.experiments.command_line import argument_vector, refusal_of
from picard_pilot.experiments.words import MAX_LINE_BYTES, LineError, split
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.job import Job


def bundle(directory: str = "/job", **turls: str) -> Bundle:
    """The paths of a job whose inputs have these addresses."""
    return Bundle(
        directory=directory,
        private=f"{directory}/picard",
        stdout=f"{directory}/payload.stdout",
        stderr=f"{directory}/payload.stderr",
        job_report=f"{directory}/jobReport.json",
        turls=turls,
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ()),
        ("  \t\n ", ()),
        ("a b  c", ("a", "b", "c")),
        ("'a b' \"c d\"", ("a b", "c d")),
        ("--x='1 2'3\"4\"", ("--x=1 234",)),
        (r"a\ b \'", ("a b", "'")),
        ("''", ("",)),
        ('"a\\"b\\$c\\n"', ('a"b$c\\n',)),
        ("'$(id) `id` ; | & < >'", ("$(id) `id` ; | & < >",)),
        (r"\; \$\(x\)", (";", "$(x)")),
        ("cost=5$ $HOME", ("cost=5$", "$HOME")),
        ("# no comment", ("#", "no", "comment")),
        ("*.root ~/x {a,b}", ("*.root", "~/x", "{a,b}")),
        ("a\\\nb", ("ab",)),
        ("é 漢字", ("é", "漢字")),
    ],
)
def test_words_are_split_like_a_shells(line: str, words: tuple[str, ...]) -> None:
    """Quotes and backslashes; everything else is literal."""
    assert split(line) == words


@pytest.mark.parametrize(
    "line",
    [
        "a;b",
        "a | b",
        "a&",
        "a < b",
        "a>b",
        "`id`",
        "$(id)",
        '"`id`"',
        '"$(id)"',
        "'open",
        '"open',
        "end\\",
        "a\0b",
        "\ud83d",
    ],
)
def test_what_only_a_shell_could_obey_is_refused(line: str) -> None:
    """With the place shown."""
    with pytest.raises(LineError):
        split(line)


def test_an_escaped_substitution_in_double_quotes_is_text() -> None:
    """As it is for a shell."""
    assert split(r'"\$(id) \`id\`"') == ("$(id) `id`",)
    with pytest.raises(LineError):
        split(r'"\\$(id)"')


def test_a_line_too_long_for_the_kernel_is_refused_at_once() -> None:
    """Ten megabytes of parameters cannot become arguments."""
    with pytest.raises(LineError, match="10485760 characters"):
        split("x" * (10 << 20))
    assert split("x" * MAX_LINE_BYTES) == ("x" * MAX_LINE_BYTES,)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_quoted_words_come_back_unchanged(words: list[str]) -> None:
    """Whatever is quoted for a shell arrives as it is."""
    assert list(split(" ".join(map(shlex.quote, words)))) == words


@pytest.mark.parametrize(
    ("transformation", "parameters", "error", "field"),
    [
        ("", "x", "NOTDEFINED", "transformation"),
        ("  ", "", "NOTDEFINED", "transformation"),
        ("''", "", "NOTDEFINED", "transformation"),
        ("https://example.org/run.sh", "", "TRFDOWNLOADFAILURE", "transformation"),
        ("HTTP://example.org/run.sh", "", "TRFDOWNLOADFAILURE", "transformation"),
        ("echo; id", "", "CONVERSIONFAILURE", "transformation"),
        ("echo", "it's", "CONVERSIONFAILURE", "jobPars"),
        ("echo", "a\0", "CONVERSIONFAILURE", "jobPars"),
    ],
)
def test_a_refusal_names_the_field(transformation: str, parameters: str, error: str, field: str) -> None:
    """And the error of the catalogue, in words that can be printed."""
    refusal = refusal_of(Job(job_id=1, attempt_nr=1, transformation=transformation, parameters=parameters))
    assert refusal is not None
    assert (refusal.error, refusal.field) == (error, field)
    assert refusal.says.isprintable() and field in refusal.says


def test_an_address_among_the_arguments_is_no_program() -> None:
    """Only the transformation itself must not be one."""
    assert (
        refusal_of(Job(job_id=1, attempt_nr=1, transformation="echo", parameters="https://example.org"))
        is None
    )


def test_programs_are_found_in_the_path_then_in_the_jobs_directory(tmp_path: Path) -> None:
    """A name with a slash is left alone; one that is nowhere too, for the launcher to say so."""
    for folder in ("bin", "job"):
        (tmp_path / folder).mkdir()
    for place in ("bin/tool", "job/tool", "job/script"):
        (tmp_path / place).write_text("#!/bin/sh\n")
        (tmp_path / place).chmod(0o755)

    def first(program: str) -> str:
        job = Job(job_id=1, attempt_nr=1, transformation=program)
        return argument_vector(job, str(tmp_path / "bin"), bundle(str(tmp_path / "job")))[0]

    assert first("tool") == str(tmp_path / "bin/tool")
    assert first("script") == str(tmp_path / "job/script")
    assert first("./script") == "./script"
    assert first("nowhere") == "nowhere"
    assert first("x" * 300) == "x" * 300


def with_inputs(parameters: str, *lfns: str) -> Job:
    """A job that runs `run` on these inputs."""
    inputs = tuple(FileSpec(lfn=lfn, role=FileRole.INPUT) for lfn in lfns)
    return Job(job_id=1, attempt_nr=1, transformation="/run", parameters=parameters, inputs=inputs)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("{turl:big}", ("root://door//a b;c",)),
        ("--in={turl:big},{turl:small}", ("--in=root://door//a b;c,small",)),
        ("'{turl:big}' \"{turl:small}\"", ("root://door//a b;c", "small")),
        ("{turl} {other:big} {turl:", ("{turl}", "{other:big}", "{turl:")),
    ],
)
def test_the_address_of_an_input_in_the_line(parameters: str, words: tuple[str, ...]) -> None:
    """Read directly it is the TURL, copied it is the file's name; whatever is in it, it stays one word."""
    job = with_inputs(parameters, "big", "small")
    assert refusal_of(job) is None
    assert argument_vector(job, None, bundle(big="root://door//a b;c"))[1:] == words


def test_the_address_of_no_input_is_refused_before_anything_is_done() -> None:
    """A misspelt name would reach the program as text that it cannot open."""
    refusal = refusal_of(with_inputs("{turl:bigg}", "big"))
    assert refusal is not None
    assert (refusal.error, refusal.field) == ("CONVERSIONFAILURE", "jobPars")
    assert "'bigg'" in refusal.says
