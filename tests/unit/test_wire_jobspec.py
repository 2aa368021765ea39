"""What may be submitted, and the dictionary made of it."""

import msgspec
import pytest

from picard_pilot.wire import jobspec
from picard_pilot.wire.jobdict import job_from_dict
from picard_pilot.wire.jobfields import JobSpecError

LEAST = {"computingSite": "Q", "transformation": "/bin/true"}


def error(spec):
    """Why this spec is refused."""
    with pytest.raises(JobSpecError) as caught:
        jobspec.accept(spec)
    return caught.value


def test_the_least_that_can_be_submitted():
    """A queue and a program."""
    submission = jobspec.accept(LEAST)

    assert (submission.queue, submission.max_attempt, submission.debug) == ("Q", 1, False)
    assert submission.job.transformation == "/bin/true"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"computingSite": None}, "computingSite"),
        ({"transformation": None}, "transformation"),
        ({"unheardOf": 1}, "unheardOf"),
        ({"PandaID": 5}, "PandaID"),
        ({"maxAttempt": 0}, "maxAttempt"),
        ({"maxAttempt": 1000}, "maxAttempt"),
        ({"inFiles": "../x"}, "inFiles"),
        ({"inFiles": ["a,b"]}, "inFiles"),
        ({"inFiles": [{}]}, "inFiles"),
        ({"inFiles": ["a"], "fsize": [-1]}, "fsize"),
        ({"maxWalltime": "long"}, "maxWalltime"),
    ],
)
def test_refusals_name_the_field(changes, field):
    """Nothing is stored that no pilot could work on."""
    assert error({**LEAST, **changes}).field == field


@pytest.mark.parametrize("spec", [None, [], "x", 5])
def test_a_spec_is_an_object(spec):
    """Nothing else."""
    assert error(spec).field == "jobs"


def test_lists_may_be_lists():
    """They become the comma lists of the dictionary."""
    submission = jobspec.accept({**LEAST, "inFiles": ["a", "b"], "fsize": [1, None]})

    assert [(file.lfn, file.size_bytes) for file in submission.job.inputs] == [("a", 1), ("b", None)]


def test_an_attempt_has_its_own_number():
    """In every text that names it, so that a retry does not write where its parent did."""
    submission = jobspec.accept({**LEAST, "jobPars": "$PANDAID", "logFile": "log.$PANDAID.tgz"})

    raw = msgspec.json.decode(
        jobspec.attempt(submission.dictionary, job_id=42, attempt_nr=3, log_guid="guid", debug=True, n_sent=5)
    )

    job = job_from_dict(raw)
    assert (job.job_id, job.attempt_nr, job.parameters, job.debug) == (42, 3, "42", True)
    assert job.log is not None
    assert (job.log.lfn, job.log.guid) == ("log.42.tgz", "guid")
    assert raw["jobName"] == "NULL"
    assert raw["StatusCode"] == 0


def test_every_field_of_a_spec_is_carried():
    """What may be submitted reaches the pilot."""
    texts = dict.fromkeys(jobspec.SPEC_FIELDS - {"debug", "loopingCheck", "inFiles", "outFiles"}, "1")
    texts |= {"altStageOut": "on", "useJobRecovery": "True"}
    submission = jobspec.accept({**texts, "inFiles": "i", "outFiles": "o", "checksum": "0" * 8})

    raw = msgspec.json.decode(submission.dictionary)
    carried = jobspec.SPEC_FIELDS - {"computingSite", "maxAttempt", "debug", "logGUID", "loopingCheck"}
    assert carried <= set(raw)
