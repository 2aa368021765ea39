"""The payload's environment: the facts that PanDA's payloads expect, and nothing that is secret.

Which credentials a payload may have is the experiment's `credentials` hook.
"""

import re
from collections.abc import Collection, Mapping

from picard_pilot.model.bundle import Bundle
from picard_pilot.model.job import Job
from picard_pilot.model.site import Site
from picard_pilot.model.version import VERSION

_SECRET_NAMES = re.compile(
    r"^BEARER_TOKEN|^X509_USER_|^OIDC_|^PANDA_AUTH|^KRB5CCNAME$|^SSH_(AUTH_SOCK|AGENT_PID)$"
    r"|AUTH_TOKEN|TOKEN|SECRET|PASSW(OR)?D|PASSPHRASE|PASSCODE|CREDENTIAL|(^|_)CREDS$|COOKIE|_PWD$|_PW$"
    r"|(ACCESS|PRIVATE|API|SIGNING|ENCRYPTION|SESSION)_?KEY",
    re.IGNORECASE,
)
"""Names of the credentials of the grid, and of what people call their secrets."""

_PILOTS_OWN = re.compile(r"^PICARD_|^XDG_RUNTIME_DIR$")
"""The pilot's own settings, and the directory in which its token lies: no secrets, and nothing for a payload."""

_SECRET_VALUES = re.compile(
    r"^(Bearer\s+)?eyJ[\w-]+\.[\w-]+\.|-----BEGIN [A-Z ]*PRIVATE KEY|^\w[\w+.-]*://[^/@\s]*:[^/@\s]+@"
)
"""A signed web token, a private key, an address with a password in it."""


def is_secret(name: str, value: str) -> bool:
    """Whether an environment variable is, or looks like, a secret or the way to one."""
    return _SECRET_NAMES.search(name) is not None or _SECRET_VALUES.search(value) is not None


def facts(job: Job, site: Site, bundle: Bundle, experiment: str) -> dict[str, str]:
    """What payloads and their scripts expect to find in their environment; what is unknown is left out."""
    directory = bundle.directory.rstrip("/")
    known = {
        "PANDAID": str(job.job_id),
        "PanDA_TaskID": str(job.task_id) if job.task_id is not None else None,
        "ATHENA_PROC_NUMBER": str(job.requirements.cores) if job.requirements.cores > 1 else None,
        "INDS": ",".join(dict.fromkeys(item.dataset for item in job.inputs if item.dataset)) or None,
        "PILOT_USER": experiment,
        "PILOT_VERSION": VERSION,
        "PILOT_SITENAME": site.queue.panda_resource,
        "PILOT_RUCIO_SITENAME": site.queue.site,
        "PILOT_WORK_DIR": directory.rpartition("/")[0] or "/",
        "PILOT_OUTPUT_DIR": directory,
    }
    return {name: value for name, value in known.items() if value is not None}


def payload_environment(
    inherited: Mapping[str, str], *additions: Mapping[str, str], keep: Collection[str] = ()
) -> dict[str, str]:
    """`inherited` without secrets (except `keep`) and the pilot's own, then `additions` on top, later ones winning.

    `inherited` is the pilot's own environment; the additions come from the queue, the experiment and its command,
    and `keep` from the experiment's credentials hook.
    """
    result = {
        name: value
        for name, value in inherited.items()
        if name in keep or not (_PILOTS_OWN.search(name) or is_secret(name, value))
    }
    for addition in additions:
        result.update(addition)
    return result
