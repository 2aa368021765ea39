"""The options table: complete, without contradictions, and what the settings are made from."""

from collections import Counter

import msgspec
import pytest

from picard_pilot.settings.option import Kind, Option
from picard_pilot.settings.pilot3 import OLD_FLAGS
from picard_pilot.settings.settings import Settings
from picard_pilot.settings.table import TABLE, options_of
from picard_pilot.settings.values import parse, written

COMMANDS = sorted({command for option in TABLE for command in option.commands})


def test_every_option_is_a_field_of_settings_and_the_other_way_round() -> None:
    """The table and the struct have the same names in the same order."""
    assert [option.name for option in TABLE] == [field.name for field in msgspec.structs.fields(Settings)]


def test_the_struct_accepts_every_default() -> None:
    """Types in the table and in the struct agree."""
    msgspec.convert({option.name: option.default for option in TABLE}, Settings)


@pytest.mark.parametrize("option", TABLE, ids=lambda option: option.name)
def test_every_option_is_explained(option: Option) -> None:
    """Each has a help, a reason for its default, a flag in long form, a unit where it has one."""
    assert option.help and option.reason
    assert option.flag.startswith("--")
    if option.kind is Kind.SECONDS:
        assert option.name.endswith(("_s", "_seconds"))
    if option.kind is Kind.BYTES:
        assert option.name.endswith("_bytes")
    assert option.minimum is None or option.kind in (Kind.INTEGER, Kind.SECONDS, Kind.BYTES)


@pytest.mark.parametrize("option", TABLE, ids=lambda option: option.name)
def test_every_default_can_be_written_and_read_again(option: Option) -> None:
    """What `config show` prints is what the settings file takes."""
    if option.default not in (None, ()):
        assert parse(option, written(option.default, option.kind)) == option.default


def test_names_keys_and_variables_are_unique() -> None:
    """No two options are set by the same word."""
    for words in (
        [option.name for option in TABLE],
        [option.key for option in TABLE],
        [variable for option in TABLE for variable in option.all_variables],
    ):
        assert not [word for word, count in Counter(words).items() if count > 1]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_flag_means_two_things_in_one_command(command: str) -> None:
    """Flags are unique per command, those of today's pilot included."""
    flags = [flag for option in options_of(command) for flag in option.all_flags]
    if command == "run":
        flags += [flag for old in OLD_FLAGS for flag in old.flags]
    assert not [flag for flag, count in Counter(flags).items() if count > 1]


def test_the_variable_follows_from_the_key() -> None:
    """The pilot's own keys go without their section, the others keep it."""
    variables = {option.key: option.variable for option in TABLE}
    assert variables["pilot.queue"] == "PICARD_QUEUE"
    assert variables["server.host"] == "PICARD_SERVER_HOST"
    assert variables["server"] == "PICARD_SERVER"
