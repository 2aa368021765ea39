"""What a user may submit, and the job dictionary a server makes of it. Reading that dictionary is `jobdict`'s.

A job spec is a flat JSON object with the names of the job dictionary, and two more: `computingSite` (the queue)
and `maxAttempt` (attempts in all, 1 without retry). A comma list may also be given as a JSON list.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from picard_pilot.model.job import Job
from picard_pilot.wire import jobfields
from picard_pilot.wire.jobdict import job_from_dict
from picard_pilot.wire.jobfields import NOT_DEFINED, JobSpecError, shown

MAX_ATTEMPTS = 100
"""More attempts at one piece of work than anyone means."""

PLACEHOLDER = b"$PANDAID"
"""Stands for the job's number in a spec, for instance in the name of the log."""

_ABSENT_TEXTS = (
    *("jobName", "jobsetID", "taskID", "reqID", "prodSourceLabel", "processingType", "prodUserID"),
    *("resource_type", "cloud", "nucleus", "sourceSite", "destinationSE", "swRelease", "homepackage"),
    *("cmtConfig", "transferType"),
)
"""Texts that a dictionary always has, "NULL" where nothing is known."""

_ABSENT_NUMBERS = {
    "jobDefinitionID": 0,
    "currentPriority": 0,
    "coreCount": 1,
    "maxCpuCount": 0,
    "maxWalltime": 0,
    "minRamCount": 0,
    "maxDiskCount": 0,
}
"""Numbers that a dictionary always has."""

_LISTS = (
    *("inFiles", "GUID", "fsize", "checksum", "scopeIn", "realDatasetsIn", "prodDBlocks", "prodDBlockToken"),
    *("dispatchDblock", "dispatchDBlockToken", "ddmEndPointIn", "outFiles", "destinationDblock"),
    *("destinationDBlockToken", "realDatasets", "fileDestinationSE", "dispatchDBlockTokenForOut"),
    *("ddmEndPointOut", "scopeOut"),
)
"""Comma lists that a dictionary always has, empty where there are no files."""

_TEXTS_WITHOUT_DEFAULT = ("logFile", "scopeLog", "jobPars")
"""Texts that a dictionary always has, empty where nothing is known."""

_ONLY_IF_SET = frozenset(
    {
        *("container_name", "allowNoOutput", "altStageOut", "writeToFile", "preprocess", "postprocess"),
        *("containerOptions", "loopingCheck", "eventService", "eventServiceMerge", "cloneJob", "isHPO"),
        *("onSiteMerging", "usePrefetcher", "inFilePosEvtNum", "noExecStrCnv", "putLogToOS", "useVP"),
        *("ioIntensity", "ioIntensityUnit", "prodDBlockTokenForOutput", "debug", "useJobRecovery"),
    }
)
"""Fields that a dictionary has only for jobs that set them."""

_OWN = frozenset({"computingSite", "maxAttempt", "transformation", "logGUID"})

SPEC_FIELDS = frozenset(
    {*_ABSENT_TEXTS, *_ABSENT_NUMBERS, *_LISTS, *_TEXTS_WITHOUT_DEFAULT, *_ONLY_IF_SET, *_OWN}
)
"""Every field a job spec may have."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted job spec. `dictionary` (JSON) lacks what belongs to one attempt; `attempt` adds that.

    `job` is the same, read as a pilot will read it (with PandaID and attemptNr 1).
    `log_guid` is the GUID that the user chose for the log, if any.
    """

    queue: str
    max_attempt: int
    debug: bool
    log_guid: str | None
    dictionary: bytes
    job: Job


def accept(spec: object) -> Submission:
    """Check one job spec and make its dictionary.

    Raises:
        JobSpecError: naming the first field that is unknown, missing, or that no pilot could work on.
    """
    if not isinstance(spec, Mapping):
        raise JobSpecError("jobs", "must be a list of objects", shown(spec))
    for name in spec:
        if name not in SPEC_FIELDS:
            raise JobSpecError(str(name), "is not a field of a job", shown(spec[name]))
    queue = jobfields.word(spec, "computingSite")
    if queue is None:
        raise JobSpecError("computingSite", "is missing", "a job needs a queue", NOT_DEFINED)
    max_attempt = jobfields.integer(spec, "maxAttempt", at_least=1) or 1
    if max_attempt > MAX_ATTEMPTS:
        raise JobSpecError("maxAttempt", f"is more than {MAX_ATTEMPTS}", shown(max_attempt))
    dictionary = _dictionary(spec)
    return Submission(
        queue=queue,
        max_attempt=max_attempt,
        debug=jobfields.flag(spec, "debug"),
        log_guid=jobfields.word(spec, "logGUID"),
        dictionary=msgspec.json.encode(dictionary),
        job=job_from_dict({**dictionary, "PandaID": 1, "attemptNr": 1}),
    )


def attempt(
    dictionary: bytes, *, job_id: int, attempt_nr: int, log_guid: str | None, debug: bool, n_sent: int
) -> bytes:
    """The job dictionary of one attempt as JSON, made of the stored one, which is not parsed again.

    `$PANDAID` anywhere in it becomes the job's number, so that a retry does not write where its parent did.
    """
    own: dict[str, object] = {
        "StatusCode": 0,
        "PandaID": job_id,
        "attemptNr": attempt_nr,
        "logGUID": log_guid or "",
        "nSent": n_sent,
    }
    if debug:
        own["debug"] = "True"
    common = dictionary.replace(PLACEHOLDER, str(job_id).encode())
    return msgspec.json.encode(own)[:-1] + b"," + common[1:]


def _dictionary(spec: Mapping[str, object]) -> dict[str, object]:
    dictionary: dict[str, object] = {"transformation": spec.get("transformation")}
    for name in _ABSENT_TEXTS:
        dictionary[name] = _or_default(spec, name, "NULL")
    for name in _TEXTS_WITHOUT_DEFAULT:
        dictionary[name] = _or_default(spec, name, "")
    for name, default in _ABSENT_NUMBERS.items():
        dictionary[name] = _or_default(spec, name, default)
    for name in _LISTS:
        dictionary[name] = _comma_list(name, _or_default(spec, name, ""))
    for name in sorted(_ONLY_IF_SET - {"debug"}):
        value = spec.get(name)
        if value is not None:
            dictionary[name] = _comma_list(name, value) if name == "allowNoOutput" else value
    return dictionary


def _or_default(spec: Mapping[str, object], name: str, default: object) -> object:
    value = spec.get(name)
    return default if value is None else value


def _comma_list(name: str, value: object) -> object:
    if not isinstance(value, list):
        return value
    elements = []
    for element in value:
        text = "" if element is None else element
        if isinstance(text, int) and not isinstance(text, bool):
            text = str(text)
        if not isinstance(text, str) or "," in text:
            raise JobSpecError(name, "must hold texts without commas", shown(element))
        elements.append(text)
    return ",".join(elements)
