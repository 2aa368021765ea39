"""Facts from the environment beside the options: credentials, batch system, scratch directory."""

from pathlib import Path

from picard_pilot.settings.environment import Batch, batch, credential_environment, scratch_directory
from picard_pilot.settings.read import settings_for


def test_only_what_leads_to_credentials_is_passed_on() -> None:
    """And nothing that is empty."""
    environ = {"BEARER_TOKEN_FILE": "/t", "X509_USER_PROXY": "/p", "PANDA_AUTH_ORIGIN": "", "PATH": "/bin"}
    assert credential_environment(environ) == {"BEARER_TOKEN_FILE": "/t", "X509_USER_PROXY": "/p"}


def test_a_setting_wins_over_the_environments_credentials() -> None:
    """A named token file is the token that is meant."""
    environ = {"BEARER_TOKEN": "x", "PANDA_AUTH_TOKEN": "y", "X509_USER_PROXY": "/p"}
    found = credential_environment(environ, settings_for(token_file="/mine", x509_proxy="/q"))
    assert found == {"BEARER_TOKEN_FILE": "/mine", "X509_USER_PROXY": "/q"}


def test_batch_systems_are_recognised(tmp_path: Path) -> None:
    """By the variable that each sets; HTCondor's id stands in the job's advertisement."""
    assert batch({}) == Batch(None, None)
    assert batch({"SLURM_JOB_ID": "77"}) == Batch("slurm", "77")
    assert batch({"PBS_JOBID": "5.head"}) == Batch("pbs", "5.head")
    assert batch({"JOB_ID": "9", "SGE_TASK_ID": "undefined"}) == Batch("grid engine", "9")
    assert batch({"JOB_ID": "9"}) == Batch(None, None)
    ad = tmp_path / ".job.ad"
    ad.write_text('ClusterId = 123\nOwner = "x"\nProcId = 4\n')
    assert batch({"_CONDOR_JOB_AD": str(ad)}) == Batch("htcondor", "123.4")
    assert batch({"_CONDOR_JOB_AD": str(tmp_path / "none")}) == Batch("htcondor", None)


def test_the_scratch_directory_is_the_sites(tmp_path: Path) -> None:
    """The first that exists and can be written."""
    assert scratch_directory({}) is None
    assert scratch_directory({"OSG_WN_TMP": str(tmp_path / "none"), "TMPDIR": str(tmp_path)}) == str(tmp_path)
    unseen = str(tmp_path / ("x" * 300))
    assert scratch_directory({"OSG_WN_TMP": unseen, "TMPDIR": str(tmp_path)}) == str(tmp_path)
