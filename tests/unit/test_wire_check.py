"""Refusing requests on the server's side, as a real server refuses them."""

import pytest

from picard_pilot.wire import v1
from picard_pilot.wire.check import Refused, check, check_query

OWN = {"job_id": 7, "job_status": "running"}


def refusal(call, parameters):
    """The refusal of these parameters."""
    with pytest.raises(Refused) as caught:
        check(call, parameters)
    return caught.value


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("job_id", "7", "Type error: 'job_id' must be of type int, got str."),
        ("cpu_consumption_time", 1.5, "Type error: 'cpu_consumption_time' must be of type int, got float."),
        ("mean_core_count", 1.0, "Type error: 'mean_core_count' must be of type int, got float."),
        ("attempt_nr", True, "Type error: 'attempt_nr' must be of type int, got bool."),
        ("node", 5, "Type error: 'node' must be of type str, got int."),
        ("job_output_report", None, "Type error: 'job_output_report' must be of type str, got NoneType."),
        ("stdout", None, "Type error: 'stdout' must be of type str, got NoneType."),
        ("max_rss", "5", "Type error: 'max_rss' must be of type int or float, got str."),
        ("max_rss", False, "Type error: 'max_rss' must be of type int or float, got bool."),
    ],
)
def test_a_wrong_type_is_named(field, value, says):
    """With HTTP 200 and the type found."""
    refused = refusal(v1.UPDATE_JOB, {**OWN, field: value})

    assert (refused.http_status, refused.message) == (200, says)


def test_null_passes_where_the_default_is_null():
    """`node: null` is fine, `job_output_report: null` is not."""
    assert check(v1.UPDATE_JOB, {**OWN, "node": None}) == {**OWN, "node": None}


def test_memory_takes_whole_and_broken_numbers():
    """Memory and input/output figures take both."""
    values = {**OWN, "max_rss": 1.5, "tot_rchar": 3}

    assert check(v1.UPDATE_JOB, values) == values


def test_an_unknown_parameter_refuses_the_call():
    """As an exception of the handler: HTTP 500."""
    refused = refusal(v1.UPDATE_JOB, {**OWN, "new_thing": 1})

    assert refused.http_status == 500
    assert "got an unexpected keyword argument 'new_thing'" in refused.message


def test_a_missing_parameter_refuses_the_call():
    """The first missing one is named."""
    refused = refusal(v1.UPDATE_JOB, {})

    assert (refused.http_status, refused.message) == (500, "missing a required argument: 'job_id'")


@pytest.mark.parametrize("ids", [["1"], [1.0], [True], [None]])
def test_the_elements_of_a_list_are_checked(ids):
    """All of them must have the type."""
    refused = refusal(v1.KILL, {"job_ids": ids})

    assert refused.message == "Type error: All elements in 'job_ids' must be int."


def test_a_key_for_proxies_must_be_text():
    """Documented as a bool, but a bool is refused."""
    assert (
        "must be of type str, got bool"
        in refusal(v1.ACQUIRE_JOBS, {"site_name": "Q", "get_proxy_key": True}).message
    )


def test_a_query_is_cast_and_lists_repeat():
    """The values of a GET call come as text."""
    pairs = [("job_ids", "1"), ("job_ids", "22"), ("timeout", "5")]

    assert check_query(v1.GET_JOB_STATUS, pairs) == {"job_ids": [1, 22], "timeout": 5}


def test_a_query_that_cannot_be_cast_is_refused():
    """The field is named."""
    with pytest.raises(Refused) as caught:
        check_query(v1.GET_JOB_STATUS, [("job_ids", "one")])

    assert "'job_ids' could not be casted" in caught.value.message


def test_every_call_has_one_path():
    """The table has no call twice."""
    paths = [call.path for call in v1.CALLS]

    assert len(paths) == len(set(paths))
    assert all(len({field.name for field in call.fields}) == len(call.fields) for call in v1.CALLS)
