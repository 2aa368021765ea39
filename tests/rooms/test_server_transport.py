"""How calls travel: paths, content types, credentials, envelopes; over real TLS."""

import gzip
import json
import ssl

import msgspec
import pytest
import urllib3

from picard_pilot.server import control
from picard_pilot.server.settings import ServerSettings, SettingsError, check
from picard_pilot.testing.server import local_server
from picard_pilot.wire import v1

JSON = {"Content-Type": "application/json"}
ALIVE = "/api/v1/system/is_alive"
ACQUIRE = "/api/v1/pilot/acquire_jobs"


def test_the_server_is_alive_without_credentials(pilot):
    """The one call that anyone may make."""
    status, body = pilot.raw("GET", ALIVE, headers={"Accept": "application/json"})

    assert status == 200
    assert json.loads(body)["success"] is True


@pytest.mark.parametrize(
    "path",
    [
        "/api/latest/system/is_alive",
        "/api/v1/pilot/unheard_of",
        "/api/v1/pilot/acquire_jobs/",
        "/server/panda/getJob",
        "/server/panda/updateJob",
    ],
)
def test_unknown_methods_are_forbidden(pilot, path):
    """With HTTP 403 and plain text, also the old API and the alias that does not work."""
    status, body = pilot.raw("POST", path, b"{}", {**pilot.credentials, **JSON})

    assert status == 403
    assert b"is forbidden" in body


def test_the_answer_is_json_only_for_those_who_ask_so(pilot):
    """Otherwise it is a Python text; its content type says text/plain in every case."""
    for headers, is_json in (
        ({"Accept": "application/json"}, True),
        ({"Content-Type": "application/json"}, True),
        ({"Accept": "application/json, */*"}, False),
        ({}, False),
    ):
        answer = pilot._pool.request("GET", pilot.url + ALIVE, headers=headers)
        assert answer.headers["content-type"] == "text/plain"
        assert answer.data.startswith(b'{"success":true' if is_json else b"{'success': True")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/json", ""])
def test_a_body_of_another_content_type_is_not_read(pilot, content_type):
    """So that the first parameter is missing."""
    headers = {**pilot.credentials, "Content-Type": content_type}
    status, body = pilot.raw("POST", ACQUIRE, b'{"site_name": "Q"}', headers)

    assert status == 500
    assert b"missing a required argument: 'site_name'" in body


def test_a_form_has_texts_only(pilot):
    """Every number in it has the wrong type."""
    headers = {
        **pilot.credentials,
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": JSON["Content-Type"],
    }
    status, body = pilot.raw("POST", "/api/v1/pilot/update_job", b"job_id=5&job_status=running", headers)

    assert status == 200
    assert json.loads(body)["message"] == "Type error: 'job_id' must be of type int, got str."


def test_a_zipped_body_is_understood(pilot):
    """Content-Encoding gzip."""
    body = gzip.compress(b'{"site_name": "nowhere"}')
    status, answer = pilot.raw(
        "POST", ACQUIRE, body, {**pilot.credentials, **JSON, "Content-Encoding": "gzip"}
    )

    assert status == 200
    assert json.loads(answer)["message"] == "No jobs in PanDA"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"a": NaN}', b"x" * 100])
def test_a_broken_body_is_an_error_of_the_server(pilot, body):
    """HTTP 500 and plain text."""
    status, answer = pilot.raw("POST", ACQUIRE, body, {**pilot.credentials, **JSON})

    assert status == 500
    assert b"failed to load JSON" in answer


def test_a_zipped_bomb_is_refused(tmp_path):
    """What unfolds beyond the limit is not unfolded."""
    with local_server(tmp_path, max_body_bytes=10_000) as small, small.client() as pilot:
        headers = {**pilot.credentials, **JSON}
        for body, more in ((gzip.compress(b" " * 20_000), {"Content-Encoding": "gzip"}), (b" " * 20_000, {})):
            status, answer = pilot.raw("POST", ACQUIRE, body, {**headers, **more})
            assert status == 500
            assert b"10000 bytes" in answer


def test_a_body_cut_short_is_refused(pilot):
    """A gzip stream without its end."""
    body = gzip.compress(b'{"site_name": "Q"}')[:-6]
    status, _ = pilot.raw("POST", ACQUIRE, body, {**pilot.credentials, **JSON, "Content-Encoding": "gzip"})

    assert status == 500


def test_numbers_beyond_any_column(pilot):
    """Are an error of the call, and the server goes on."""
    assert pilot.send(v1.ACQUIRE_JOBS, {"site_name": "Q", "memory": 2**70})[0] == 500
    assert pilot.send(v1.KILL, {"job_ids": [2**70]})[0] == 500
    assert pilot.send(v1.GET_JOB_STATUS, {"job_ids": [2**70]})[0] == 500
    assert pilot.envelope(v1.UPDATE_JOB, job_id=2**70, job_status="running")["data"] == {"StatusCode": 30}


def test_the_verb_is_checked(pilot):
    """With HTTP 200 and a refusal."""
    headers = {**pilot.credentials, "Accept": "application/json"}
    status, body = pilot.raw("GET", ACQUIRE + "?site_name=Q", headers=headers)

    assert status == 200
    assert json.loads(body)["message"] == "expecting POST, received GET"


def test_an_unknown_parameter_refuses_the_call(pilot):
    """An older server refuses newer fields."""
    status, body = pilot.send(v1.ACQUIRE_JOBS, {"site_name": "Q", "new_field": 1})

    assert status == 500
    assert b"got an unexpected keyword argument 'new_field'" in body


def test_a_query_is_cast_and_lists_repeat(pilot):
    """The parameters of a GET call."""
    data = pilot.data(v1.GET_JOB_STATUS, job_ids=[10**9, 10**9 + 1])

    assert [entry["status"] for entry in data] == ["not found", "not found"]


def test_a_query_that_cannot_be_cast(pilot):
    """Names the parameter."""
    headers = {**pilot.credentials, "Accept": "application/json"}
    _, body = pilot.raw("GET", "/api/v1/pilot/get_job_status?job_ids=one", headers=headers)

    assert "'job_ids' could not be casted" in json.loads(body)["message"]


def test_without_credentials_nobody_is_let_in(pilot):
    """The words of a real server to a caller without certificate or token."""
    status, body = pilot.raw("POST", ACQUIRE, b'{"site_name": "Q"}', JSON)

    assert status == 200
    assert json.loads(body)["message"] == "SSL secure connection is required"


def test_a_token_needs_its_origin(pilot):
    """403 without, with another organisation, and with a group the token does not hold."""
    for origin in (None, "", "atlas.pilot", "picard.production", "picard:admin"):
        headers = {**JSON, "Authorization": pilot.credentials["Authorization"]}
        if origin is not None:
            headers["Origin"] = origin
        status, body = pilot.raw("POST", ACQUIRE, b'{"site_name": "Q"}', headers)
        assert status == 403, origin
        assert not body.startswith(b"{")


def test_origin_with_colon_or_dot(pilot):
    """`vo:role` is the same as `vo.role`."""
    headers = {**pilot.credentials, **JSON, "Origin": "picard:pilot"}
    status, _ = pilot.raw("POST", ACQUIRE, b'{"site_name": "Q"}', headers)

    assert status == 200


@pytest.mark.parametrize("role", ["pilot", "production", "user"])
def test_which_roles_may_update_jobs(server, role):
    """The pilot's and the production role; a user's token is refused."""
    with server.client(role) as client:
        envelope = client.envelope(v1.UPDATE_JOB, job_id=10**9, job_status="running")

    allowed = role != "user"
    assert envelope["success"] is allowed
    assert allowed or envelope["message"] == "production or pilot role required"


@pytest.mark.parametrize("authorization", ["", "Basic eDp5", "Bearer", "Bearer x.y.z", "bearer"])
def test_bad_tokens_are_forbidden(pilot, authorization):
    """403 and plain text that does not quote the token."""
    headers = {**pilot.credentials, **JSON, "Authorization": authorization}
    status, body = pilot.raw("POST", ACQUIRE, b'{"site_name": "Q"}', headers)

    assert status == 403
    assert b"x.y.z" not in body


def test_expired_and_foreign_tokens_are_forbidden(server, pilot, tmp_path):
    """A token must be of this server and alive."""
    expired = server.app.tokens.issue("pilot", -1)
    with local_server(tmp_path) as other:
        foreign = control.token(tmp_path, "pilot")
        assert other.info.url != server.info.url
    for token in (expired, foreign):
        headers = {**pilot.credentials, **JSON, "Authorization": f"Bearer {token}"}
        assert pilot.raw("POST", ACQUIRE, b'{"site_name": "Q"}', headers)[0] == 403


def test_a_token_that_expires_while_in_use_is_refused(server, pilot):
    """What was verified once is not believed for ever."""
    token = server.app.tokens.issue("pilot", 3600)
    headers = {**pilot.credentials, **JSON, "Authorization": f"Bearer {token}"}
    assert pilot.raw("POST", ACQUIRE, b'{"site_name": "Q"}', headers)[0] == 200

    known = server.app.tokens._known
    known[token] = msgspec.structs.replace(known[token], expires_at=0.0)

    assert pilot.raw("POST", ACQUIRE, b'{"site_name": "Q"}', headers)[0] == 403


def test_the_certificate_is_signed_by_the_servers_own_authority(server):
    """Verified by name and by address; the system's authorities do not know it."""
    for host in ("localhost", "127.0.0.1"):
        with urllib3.PoolManager(ca_certs=server.info.ca_file, retries=False) as pool:
            answer = pool.request("GET", f"https://{host}:{server.info.port}{ALIVE}")
            assert answer.status == 200
    context = ssl.create_default_context()
    with (
        urllib3.PoolManager(ssl_context=context, retries=False) as pool,
        pytest.raises(urllib3.exceptions.SSLError),
    ):
        pool.request("GET", server.info.url + ALIVE)


def test_plain_http_only_on_request(tmp_path):
    """Then there is no certificate."""
    with local_server(tmp_path, plain_http=True) as plain, plain.client() as pilot:
        assert plain.info.url.startswith("http://127.0.0.1:")
        assert plain.info.ca_file is None
        assert pilot.data(v1.GET_JOB_STATUS, job_ids=[1])


@pytest.mark.parametrize(
    "settings", [{"host": "0.0.0.0"}, {"host": "0.0.0.0", "allow_remote": True, "plain_http": True}]
)
def test_what_must_not_be_served(tmp_path, settings):
    """Addresses beyond this host only when told so, and never without TLS."""
    with pytest.raises(SettingsError):
        check(ServerSettings(data_dir=str(tmp_path), **settings))


def test_other_addresses_when_told_so(tmp_path):
    """With TLS."""
    check(ServerSettings(data_dir=str(tmp_path), host="0.0.0.0", allow_remote=True))


def test_health_and_unknown_pages(pilot):
    """Outside the PanDA calls an unknown address is simply not found."""
    assert pilot.raw("GET", "/healthz") == (200, b"ok\n")
    assert pilot.raw("GET", "/unheard-of")[0] == 404
