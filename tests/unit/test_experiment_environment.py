"""The payload's environment: facts for it, and none of the pilot's secrets."""

import pytest

from picard_pilot.experiments.environment import facts, is_secret, payload_environment
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.job import Job, Requirements
from picard_pilot.model.site import Queue, Site
from picard_pilot.model.version import VERSION

SITE = Site(queue=Queue(name="Q", panda_resource="Q_RES", site="SITE"))
BUNDLE = Bundle(
    directory="/w/PanDA_Pilot-5", private="/w/PanDA_Pilot-5/picard", stdout="o", stderr="e", job_report="r"
)


def test_payloads_find_what_they_expect() -> None:
    """PanDA's names, the number of cores only where there are several, the input datasets once each."""
    inputs = tuple(FileSpec(lfn=f"f{number}", role=FileRole.INPUT, dataset="ds") for number in range(2))
    job = Job(job_id=5, attempt_nr=1, task_id=9, requirements=Requirements(cores=4), inputs=inputs)
    assert facts(job, SITE, BUNDLE, "generic") == {
        "PANDAID": "5",
        "PanDA_TaskID": "9",
        "ATHENA_PROC_NUMBER": "4",
        "INDS": "ds",
        "PILOT_USER": "generic",
        "PILOT_VERSION": VERSION,
        "PILOT_SITENAME": "Q_RES",
        "PILOT_RUCIO_SITENAME": "SITE",
        "PILOT_WORK_DIR": "/w",
        "PILOT_OUTPUT_DIR": "/w/PanDA_Pilot-5",
    }


def test_what_is_unknown_is_left_out() -> None:
    """A variable that says None would be worse than none."""
    found = facts(
        Job(job_id=5, attempt_nr=1), Site(queue=Queue(name="Q", panda_resource="Q")), BUNDLE, "generic"
    )
    assert not {"PanDA_TaskID", "ATHENA_PROC_NUMBER", "INDS", "PILOT_RUCIO_SITENAME"} & set(found)


@pytest.mark.parametrize(
    "name",
    [
        *("BEARER_TOKEN", "BEARER_TOKEN_FILE", "X509_USER_PROXY", "X509_USER_KEY", "OIDC_AUTH_TOKEN"),
        *("PANDA_AUTH_TOKEN", "PANDA_AUTH_TOKEN_KEY", "PICARD_TOKEN_FILE"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "DB_PASSWORD", "MY_PASSPHRASE", "api_key"),
        *("SSH_AUTH_SOCK", "KRB5CCNAME", "S3_PRIVATE_KEY", "CONDOR_CREDENTIALS", "_CONDOR_CREDS"),
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    """The grid's, the clouds', and what people call theirs."""
    assert is_secret(name, "x")


@pytest.mark.parametrize(
    "value",
    [
        "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
        "Bearer eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nabc",
        "http://user:pass@proxy.example.org:3128",
    ],
)
def test_values_that_look_secret_are_known(value: str) -> None:
    """Whatever their name is."""
    assert is_secret("HARMLESS", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/home/x"),
        ("X509_CERT_DIR", "/etc/grid-security/certificates"),
        ("X509_VOMS_DIR", "/etc/vomsdir"),
        ("http_proxy", "http://proxy.example.org:3128"),
        ("KEYBOARD", "us"),
        ("MONKEY", "x"),
        ("PWD", "/x"),
        ("OLDPWD", "/x"),
        ("RUCIO_ACCOUNT", "someone"),
        ("LS_COLORS", "a=1:b=2"),
    ],
)
def test_ordinary_variables_stay(name: str, value: str) -> None:
    """A payload needs its path, its proxies and its certificates' directory."""
    assert not is_secret(name, value)


def test_a_credential_that_the_experiment_asks_for_stays() -> None:
    """And later additions win over earlier ones."""
    inherited = {"PATH": "/bin", "X509_USER_PROXY": "/p", "BEARER_TOKEN": "t", "PICARD_QUEUE": "Q"}
    environment = payload_environment(
        inherited, {"A": "1", "PATH": "/q"}, {"A": "2"}, keep=("X509_USER_PROXY",)
    )
    assert environment == {"PATH": "/q", "X509_USER_PROXY": "/p", "A": "2"}
