"""Preparing requests on the client's side."""

import pytest

from picard_pilot.wire import v1
from picard_pilot.wire.encode import clean, prepare, query
from picard_pilot.wire.fields import WireError

OWN = {"job_id": 7, "job_status": "running"}


def test_nulls_are_left_out():
    """None never travels, since null is refused where the server's default is not null."""
    assert prepare(v1.UPDATE_JOB, {**OWN, "node": None, "job_output_report": None}) == OWN


@pytest.mark.parametrize(
    ("field", "length"),
    [
        ("node", 128),
        ("scheduler_id", 128),
        ("pilot_timing", 100),
        ("cpu_consumption_unit", 128),
        ("pilot_id", 200),
        ("batch_id", 80),
        ("pilot_error_diag", 500),
        ("exe_error_diag", 500),
        ("job_metrics", 500),
        ("job_sub_status", 80),
        ("grid", 50),
        ("source_site", 36),
        ("destination_site", 36),
        ("cpu_architecture_level", 20),
        ("stdout", 2048),
        ("pilot_log", 4000),
    ],
)
def test_long_texts_are_cut_to_their_column(field, length):
    """Every text with a limit is cut, also those that the server does not cut."""
    text = prepare(v1.UPDATE_JOB, {**OWN, field: "x" * (length + 1)})[field]

    assert text == "x" * length


def test_of_live_output_the_end_is_kept():
    """The newest lines are the interesting ones."""
    prepared = prepare(v1.UPDATE_JOB, {**OWN, "stdout": "old " + "n" * 2048, "pilot_log": "old" + "n" * 4000})

    assert prepared["stdout"] == "n" * 2048
    assert prepared["pilot_log"] == "n" * 4000


def test_nul_and_lone_surrogates_are_removed():
    """One NUL in any text loses the whole update on the server, so none goes out."""
    prepared = prepare(v1.UPDATE_JOB, {**OWN, "pilot_error_diag": "a\0b\ud800c é"})

    assert prepared["pilot_error_diag"] == "abc é"


def test_texts_are_cut_after_cleaning():
    """What is removed does not count."""
    assert prepare(v1.UPDATE_JOB, {**OWN, "grid": "\0" + "x" * 50})["grid"] == "x" * 50


@pytest.mark.parametrize(("given", "sent"), [(3.9, 3), (3, 3), ("12", 12), (-1.5, -1)])
def test_integers_are_cast(given, sent):
    """int fields refuse floats on the server."""
    prepared = prepare(v1.UPDATE_JOB, {**OWN, "cpu_consumption_time": given})

    assert prepared["cpu_consumption_time"] == sent
    assert type(prepared["cpu_consumption_time"]) is int


def test_an_error_code_beyond_32_bits_becomes_the_largest():
    """A larger one loses the whole update on the server."""
    prepared = prepare(v1.UPDATE_JOB, {**OWN, "exe_error_code": 2**40, "trans_exit_code": -(2**40)})

    assert prepared["exe_error_code"] == 2**31 - 1
    assert prepared["trans_exit_code"] == -(2**31 - 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_carry_is_unknown(value):
    """A figure that is not a number is left out, not sent as zero."""
    assert prepare(v1.UPDATE_JOB, {**OWN, "max_rss": value, "n_events": value}) == OWN


def test_a_number_becomes_text_where_text_is_wanted():
    """Batch ids are numbers to many a batch system."""
    assert prepare(v1.UPDATE_JOB, {**OWN, "batch_id": 4711})["batch_id"] == "4711"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("unheard_of", 1),
        ("node", b"bytes"),
        ("node", 1.5),
        ("attempt_nr", True),
        ("attempt_nr", "one"),
        ("attempt_nr", [1]),
        ("max_rss", "many"),
        ("max_rss", True),
    ],
)
def test_impossible_values_name_their_field(field, value):
    """An unknown field or a type that cannot be cast is the caller's fault and says which field it is."""
    with pytest.raises(WireError) as caught:
        prepare(v1.UPDATE_JOB, {**OWN, field: value})

    assert caught.value.field == field
    assert field in str(caught.value)


@pytest.mark.parametrize("missing", ["job_id", "job_status"])
def test_required_fields_must_be_there(missing):
    """None counts as missing."""
    with pytest.raises(WireError) as caught:
        prepare(v1.UPDATE_JOB, {**OWN, missing: None})

    assert caught.value.field == missing


def test_the_updates_of_a_bulk_call_are_prepared_each():
    """The same rules hold inside the list."""
    prepared = prepare(v1.UPDATE_JOBS_BULK, {"job_list": [{**OWN, "node": "n\0" * 200, "grid": None}]})

    assert prepared == {"job_list": [{**OWN, "node": "n" * 128}]}


def test_a_mode_must_be_a_bool():
    """Zero and one are not false and true."""
    assert prepare(v1.SET_DEBUG_MODE, {"job_id": 1, "mode": False})["mode"] is False
    with pytest.raises(WireError):
        prepare(v1.SET_DEBUG_MODE, {"job_id": 1, "mode": 1})


def test_a_description_of_hardware_may_be_an_object_or_text():
    """Both forms are understood by the server."""
    for value in ({"gpus": []}, '{"gpus": []}'):
        prepared = prepare(v1.ACQUIRE_JOBS, {"site_name": "Q", "target_architecture": value})
        assert prepared["target_architecture"] == value


def test_the_list_of_a_get_call_repeats_its_key():
    """As the server reads lists in a query."""
    prepared = prepare(v1.GET_JOB_STATUS, {"job_ids": (1, 2), "timeout": 60})

    assert query(v1.GET_JOB_STATUS, prepared) == [("job_ids", "1"), ("job_ids", "2"), ("timeout", "60")]


@pytest.mark.parametrize("ids", [[True], ["1"], "12", 12])
def test_a_list_of_numbers_holds_numbers(ids):
    """Not their digits, and no single number."""
    with pytest.raises(WireError):
        prepare(v1.GET_JOB_STATUS, {"job_ids": ids})


def test_clean_leaves_good_text_alone():
    """Also beyond ASCII."""
    assert clean("é日本 🎈\n") == "é日本 🎈\n"
