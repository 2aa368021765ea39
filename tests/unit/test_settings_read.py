"""Reading settings: who wins, where a value came from, and how a bad one is told."""

from pathlib import Path

import pytest

from picard_pilot.settings.address import server_address
from picard_pilot.settings.read import (
    Reading,
    SettingsTrouble,
    read,
    search_path,
    settings_file,
    settings_for,
)
from picard_pilot.settings.table import BY_NAME
from picard_pilot.settings.values import parse, written


def _file(folder: Path, text: str) -> str:
    path = folder / "picard.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_flag_wins_over_the_environment_that_over_the_file_that_over_the_default(tmp_path: Path) -> None:
    """Precedence, with the origin of each value."""
    file = _file(tmp_path, "[pilot]\nqueue = 'F'\nlifetime = '2h'\njobs = 3\n")
    environ = {"PICARD_QUEUE": "E", "PICARD_LIFETIME": "1h"}
    reading = read({"queue": "G"}, environ, file)
    settings = reading.settings
    assert (settings.queue, settings.lifetime_s, settings.jobs, settings.heartbeat_s) == (
        "G",
        3600.0,
        3,
        1800.0,
    )
    origins = reading.origins
    assert origins["queue"] == "flag --queue"
    assert origins["lifetime_s"] == "env PICARD_LIFETIME"
    assert origins["jobs"] == f"file {file}"
    assert origins["heartbeat_s"] == "default"


def test_the_grids_own_variables_count_after_ours() -> None:
    """Harvester's ids and the pilot's lifetime are taken from where the ecosystem puts them."""
    reading = read({}, {"HARVESTER_ID": "h1", "HARVESTER_WORKER_ID": "42", "PANDAPILOT_LIFETIME": "7200"})
    assert (reading.settings.harvester_id, reading.settings.worker_id, reading.settings.lifetime_s) == (
        "h1",
        42,
        7200.0,
    )
    assert reading.origins["worker_id"] == "env HARVESTER_WORKER_ID"
    assert read({}, {"HARVESTER_ID": "h1", "PICARD_HARVESTER_ID": "h2"}).settings.harvester_id == "h2"


def test_an_empty_variable_counts_as_unset() -> None:
    """Batch systems export empty variables."""
    assert read({}, {"PICARD_QUEUE": "  "}).origins["queue"] == "default"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("lifetime_s", "90", 90.0),
        ("lifetime_s", "1.5h", 5400.0),
        ("lifetime_s", " 3D ", 259200.0),
        ("output_limit_bytes", "2GiB", 2 << 30),
        ("output_limit_bytes", "5 MB", 5_000_000),
        ("cleanup", "False", False),
        ("cleanup", "on", True),
        ("site_files", "a.toml, b.json,", ("a.toml", "b.json")),
        ("site_files", ["a.toml", "b.json,c.json"], ("a.toml", "b.json", "c.json")),
        ("jobs", 7, 7),
    ],
)
def test_values_are_read_as_people_write_them(name: str, text: object, value: object) -> None:
    """Units, yes and no, lists."""
    assert parse(BY_NAME[name], text) == value


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("lifetime_s", "soon"),
        ("lifetime_s", "0"),
        ("lifetime_s", "nan"),
        ("lifetime_s", "inf"),
        ("lifetime_s", True),
        ("lifetime_s", "5 parsecs"),
        ("jobs", "-1"),
        ("jobs", "1.5"),
        ("jobs", True),
        ("port", "70000"),
        ("acquire_timeout_s", "10"),
        ("cleanup", "perhaps"),
        ("queue", 5),
        ("queue", "a\0b"),
        ("client_format", "xml"),
        ("site_files", [1]),
    ],
)
def test_a_bad_value_is_told_with_its_flag_and_what_would_do(name: str, raw: object) -> None:
    """Three lines: which setting, why, what it wants."""
    with pytest.raises(SettingsTrouble) as caught:
        read({name: raw}, {})
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert BY_NAME[name].flag in lines[0]
    assert "and it is" in lines[1]


def test_a_bad_value_names_the_variable_or_the_file_it_stood_in(tmp_path: Path) -> None:
    """The evidence leads to the place to mend."""
    with pytest.raises(SettingsTrouble, match="PICARD_JOBS"):
        read({}, {"PICARD_JOBS": "many"})
    file = _file(tmp_path, "[pilot]\njobs = 'many'\n")
    with pytest.raises(SettingsTrouble, match=r"pilot\.jobs in .*picard\.toml"):
        read({}, {}, file)


def test_unknown_keys_and_variables_are_noted_and_do_no_harm(tmp_path: Path) -> None:
    """A newer settings file must not stop an older pilot, but a misspelling must not pass in silence."""
    file = _file(tmp_path, "[pilot]\nlifetme = 5\n[other]\nthing = 1\n")
    reading = read({}, {"PICARD_LIFETMIE": "5", "HOME": "/nowhere"}, file)
    notes = "\n".join(reading.notes)
    assert "pilot.lifetme" in notes and "did you mean pilot.lifetime?" in notes
    assert "other.thing" in notes
    assert "did you mean PICARD_LIFETIME?" in notes


def test_a_named_file_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    """Missing, not TOML, not text, too large: each is told with its path."""
    bad = tmp_path / "bad.toml"
    for content in (b"queue = ", b"\xff\xfe", b"# " + b"x" * (1 << 20)):
        bad.write_bytes(content)
        with pytest.raises(SettingsTrouble, match=r"bad\.toml"):
            read({}, {"PICARD_CONFIG": str(bad)})
    with pytest.raises(SettingsTrouble, match="No such file"):
        read({}, {}, str(tmp_path / "none.toml"))


def test_the_users_file_is_found_before_the_systems(tmp_path: Path) -> None:
    """XDG_CONFIG_HOME, then HOME, then /etc."""
    assert search_path({"HOME": "/h"}) == ("/h/.config/picard/picard.toml", "/etc/picard/picard.toml")
    assert search_path({"HOME": "/h", "XDG_CONFIG_HOME": "/x"})[0] == "/x/picard/picard.toml"
    assert search_path({}) == ("/etc/picard/picard.toml",)
    (tmp_path / "picard").mkdir()
    file = _file(tmp_path / "picard", "[pilot]\nqueue = 'Q'\n")
    assert settings_file({"XDG_CONFIG_HOME": str(tmp_path)}) == file
    assert read({}, {"XDG_CONFIG_HOME": str(tmp_path)}).settings.queue == "Q"


def test_a_home_where_nobody_can_look_holds_no_settings(tmp_path: Path) -> None:
    """That of the user who ran `su`, for instance."""
    assert read({}, {"HOME": str(tmp_path / ("x" * 300))}).settings.jobs == 0


def test_settings_for_programs() -> None:
    """Defaults and what is given, nothing from this machine."""
    settings = settings_for(queue="Q", jobs=1)
    assert (settings.queue, settings.jobs, settings.heartbeat_s) == ("Q", 1, 1800.0)


def test_written_values_are_short() -> None:
    """As people would write them."""
    reading: Reading = read({}, {})
    assert written(reading.settings.output_limit_bytes, BY_NAME["output_limit_bytes"].kind) == "2GiB"
    assert written(reading.settings.lifetime_s) == "324000"
    assert written(None) == ""
    assert written(True) == "yes"


@pytest.mark.parametrize(
    ("url", "port", "address"),
    [
        ("https://panda.example.org", None, "https://panda.example.org:25443"),
        ("panda.example.org", 8443, "https://panda.example.org:8443"),
        ("https://panda.example.org:443/", 8443, "https://panda.example.org:443"),
        ("https://[::1]:25443", None, "https://[::1]:25443"),
    ],
)
def test_the_servers_address(url: str, port: int | None, address: str) -> None:
    """Scheme and port are filled in."""
    assert server_address(settings_for(server_url=url, port=port)) == address


@pytest.mark.parametrize(
    "url",
    [
        None,
        "http://panda.example.org",
        "ftp://x",
        "https://u:p@x",
        "https://x/api",
        "https://x:99999",
        "https://",
    ],
)
def test_an_address_that_will_not_do(url: str | None) -> None:
    """Three lines, and never the password."""
    with pytest.raises(SettingsTrouble) as caught:
        server_address(settings_for(server_url=url))
    assert len(str(caught.value).splitlines()) == 3
    assert "u:p" not in str(caught.value)


def test_plain_http_on_request() -> None:
    """Only when somebody says so."""
    assert (
        server_address(settings_for(server_url="http://127.0.0.1:8080", plain_http=True))
        == "http://127.0.0.1:8080"
    )
