"""Facts that the environment gives beside the options: credentials, batch system, scratch directory.

The values of options are `settings.read`; how a credential is used is the business of `panda`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from picard_pilot.settings.read import SettingsTrouble
from picard_pilot.settings.settings import Settings

CREDENTIAL_VARIABLES = (
    "BEARER_TOKEN",
    "BEARER_TOKEN_FILE",
    "XDG_RUNTIME_DIR",
    "OIDC_AUTH_TOKEN",
    "OIDC_AUTH_ORIGIN",
    "OIDC_AUTH_DIR",
    "PANDA_AUTH_TOKEN",
    "PANDA_AUTH_ORIGIN",
    "PANDA_AUTH_DIR",
    "PANDA_AUTH_VO",
    "X509_USER_PROXY",
    "X509_CERT_DIR",
    "X509_USER_CERT",
    "X509_USER_KEY",
)
"""What the discovery of tokens and proxies reads: the WLCG's variables, PanDA's, and those of X.509."""

TOKEN_VARIABLES = (
    "BEARER_TOKEN",
    "BEARER_TOKEN_FILE",
    "XDG_RUNTIME_DIR",
    "OIDC_AUTH_TOKEN",
    "PANDA_AUTH_TOKEN",
)
"""Those that lead to a token; a certificate that was named explicitly wins over them."""

SERVER_TOKEN_VARIABLES = ("OIDC_AUTH_TOKEN", "PANDA_AUTH_TOKEN")
"""Those whose token is made out to the PanDA server."""

_BATCH_SYSTEMS = (
    ("SLURM_JOB_ID", "slurm"),
    ("PBS_JOBID", "pbs"),
    ("LSB_JOBID", "lsf"),
    ("QSUB_REQNAME", "nqs"),
    ("K8S_JOB_ID", "kubernetes"),
)
"""Variables that hold a batch system's job id. Grid Engine's JOB_ID and HTCondor's files are looked at apart."""

SCRATCH_VARIABLES = ("OSG_WN_TMP", "TMPDIR")
"""Where a site says that jobs should write, in order."""


class Batch(NamedTuple):
    """The batch system and its id for this slot; None where nothing says it."""

    system: str | None = None
    job_id: str | None = None


def credential_environment(environ: Mapping[str, str], settings: Settings | None = None) -> dict[str, str]:
    """The variables that say where credentials for the server are; the settings `token_file` and `x509_proxy` win.

    The values are secrets or lead to them: for the discovery of credentials only, never for a log.
    """
    found = {name: environ[name] for name in CREDENTIAL_VARIABLES if environ.get(name)}
    if settings is not None:
        _named_win(found, settings.token_file, settings.x509_proxy)
    return found


def storage_environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The same for storages: `storage_token_file` and `storage_x509_proxy` win, else the server's proxy counts.

    A token that was given for the server (`token_file`, PanDA's own variables) is made out to the server: with it any
    storage could take jobs in our name. So it is shown to nobody else.
    """
    found = credential_environment(environ)
    for name in SERVER_TOKEN_VARIABLES:
        found.pop(name, None)
    own = settings.storage_token_file, settings.storage_x509_proxy
    if any(own):
        _named_win(found, *own)
    elif settings.x509_proxy:
        found["X509_USER_PROXY"] = settings.x509_proxy
    return found


def storage_authorities(environ: Mapping[str, str], settings: Settings) -> str | None:
    """The file or folder of the authorities to trust for storages; None: the system's.

    A server of one's own may have its own authority, given as `ca`; where the grid's are, they count for storages.
    """
    return settings.storage_ca or environ.get("X509_CERT_DIR", "").strip() or settings.ca


def _named_win(found: dict[str, str], token_file: str | None, x509_proxy: str | None) -> None:
    """Let the files that were named explicitly win over what the variables say; a proxy alone wins over tokens."""
    if token_file:
        for name in ("BEARER_TOKEN", "OIDC_AUTH_TOKEN", "PANDA_AUTH_TOKEN"):
            found.pop(name, None)
        found["BEARER_TOKEN_FILE"] = token_file
    if x509_proxy:
        if not token_file:
            for name in TOKEN_VARIABLES:
                found.pop(name, None)
        found["X509_USER_PROXY"] = x509_proxy


def server_data_dir(environ: Mapping[str, str], settings: Settings) -> Path:
    """The folder of the server on this host: the setting, or picard/server where a user's programs keep state.

    Raises SettingsTrouble where there is no home to keep it in.
    """
    if settings.server_data_dir:
        return Path(settings.server_data_dir).absolute()
    if environ.get("XDG_STATE_HOME"):
        return Path(environ["XDG_STATE_HOME"], "picard", "server")
    if environ.get("HOME"):
        return Path(environ["HOME"], ".local", "state", "picard", "server")
    raise SettingsTrouble(
        "There is no folder for the server's data",
        "neither --data-dir nor XDG_STATE_HOME nor HOME is set",
        "Name one with --data-dir",
    )


def batch(environ: Mapping[str, str]) -> Batch:
    """Which batch system gave us this slot, and its id there. Reads the job's advertisement under HTCondor."""
    for variable, system in _BATCH_SYSTEMS:
        if environ.get(variable):
            return Batch(system, environ[variable])
    if environ.get("_CONDOR_JOB_AD") or environ.get("_CONDOR_SLOT"):
        return Batch("htcondor", _condor_job_id(environ.get("_CONDOR_JOB_AD")))
    if environ.get("JOB_ID") and environ.get("SGE_TASK_ID"):
        return Batch("grid engine", environ["JOB_ID"])
    return Batch()


def scratch_directory(environ: Mapping[str, str]) -> str | None:
    """The first of the site's scratch directories that exists and can be written; None if the site names none."""
    for variable in SCRATCH_VARIABLES:
        path = environ.get(variable)
        if path and os.access(f"{path}/.", os.W_OK | os.X_OK):
            return path
    return None


_MAX_AD_BYTES = 1 << 20
"""A job's advertisement has some ten kilobytes."""


def _condor_job_id(path: str | None) -> str | None:
    """`ClusterId.ProcId` from a job advertisement, with the scheduler's name where it is given; None if unreadable."""
    if not path:
        return None
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as stream:
            lines = stream.read(_MAX_AD_BYTES).splitlines()
    except OSError:
        return None
    words = (line.partition("=") for line in lines)
    facts = {name.strip().lower(): value.strip().strip('"') for name, _, value in words}
    if not facts.get("clusterid", "").isdigit():
        return None
    return f"{facts['clusterid']}.{facts.get('procid', '0')}"
