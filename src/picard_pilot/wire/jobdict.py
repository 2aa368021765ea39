"""The job dictionary: from what `acquire_jobs` brought to typed jobs, checked once.

Single values are read by `jobfields`; what a user may submit is in `jobspec`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from picard_pilot.model.files import Checksum, ChecksumKind, FileRole, FileSpec
from picard_pilot.model.job import Job, Requirements
from picard_pilot.wire import jobfields
from picard_pilot.wire.jobfields import BAD_OUTPUT_NAME, NOT_DEFINED, JobSpecError

SECRET_FIELDS = re.compile(
    r"secret|password|passwd|passphrase|credential|credname|myproxy|proxykey|userproxy|privatekey|apikey"
    r"|(?<!DBlock)token",
    re.IGNORECASE,
)
"""Names of fields that are never kept, not in a job, a journal or a log: `secrets`, `pilotSecrets`,
`pandaProxySecretKey`, `proxyKey` and whatever else is called like one; space tokens are none."""

CONSUMED_FIELDS = frozenset(
    {
        *("StatusCode", "nSent", "PandaID", "attemptNr", "jobName", "taskID", "jobsetID", "prodUserID"),
        *("prodSourceLabel", "processingType", "currentPriority", "transformation", "jobPars", "coreCount"),
        *("minRamCount", "maxDiskCount", "maxWalltime", "maxCpuCount", "transferType", "container_name"),
        *("swRelease", "homepackage", "cmtConfig", "debug", "inFiles", "GUID", "fsize", "checksum"),
        *("scopeIn", "realDatasetsIn", "ddmEndPointIn", "prodDBlockToken", "outFiles", "scopeOut"),
        *("realDatasets", "ddmEndPointOut", "destinationDBlockToken", "logFile", "logGUID", "scopeLog"),
        *("allowNoOutput", "altStageOut", "maxAttempt", "useJobRecovery"),
    }
)
"""Fields that `job_from_dict` reads; every other one goes into `Job.extra` as it came."""

_PILOT_LOG = "pilotlog.txt"

_OWN_INPUT_NAMES = frozenset({"picard", "payload.stdout", "payload.stderr", _PILOT_LOG})
"""Names in the job's directory that an input must not replace; an output must leave `picard` and the log alone."""


class BrokenJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job whose description cannot be worked on, with what is needed to report it failed.

    `job_id` and `attempt_nr` are None where not even these could be read.
    """

    job_id: int | None
    attempt_nr: int | None
    field: str
    why: str
    evidence: str
    code: int


def read_jobs(data: object) -> tuple[Job | BrokenJob, ...]:
    """The jobs in the data of a successful `acquire_jobs`, broken ones included; never raises."""
    jobs = data.get("jobs") if isinstance(data, Mapping) else None
    if not isinstance(jobs, list):
        evidence = jobfields.shown(jobs)
        return (_broken({}, JobSpecError("jobs", "must be a list of jobs", evidence, NOT_DEFINED)),)
    read: list[Job | BrokenJob] = []
    for raw in jobs:
        if not isinstance(raw, Mapping):
            read.append(_broken({}, JobSpecError("jobs", "must hold objects", jobfields.shown(raw))))
            continue
        try:
            read.append(job_from_dict(raw))
        except JobSpecError as error:
            read.append(_broken(raw, error))
    return tuple(read)


def job_from_dict(raw: Mapping[str, object]) -> Job:
    """One job dictionary as a typed job; "NULL", "", null and absent all mean None.

    Raises:
        JobSpecError: naming the first field that cannot be worked on.
    """
    job_id = jobfields.integer(raw, "PandaID", at_least=1)
    attempt_nr = jobfields.integer(raw, "attemptNr")
    transformation = jobfields.text(raw, "transformation")
    if job_id is None:
        raise _missing("PandaID", raw)
    if attempt_nr is None:
        raise _missing("attemptNr", raw)
    if transformation is None:
        raise _missing("transformation", raw)
    parameters = jobfields.text(raw, "jobPars") or ""
    inputs = _inputs(raw)
    outputs, log = _outputs(raw)
    _refuse_overwriting(inputs, outputs, log)
    return Job(
        job_id=job_id,
        attempt_nr=attempt_nr,
        name=jobfields.word(raw, "jobName"),
        task_id=jobfields.integer(raw, "taskID"),
        jobset_id=jobfields.integer(raw, "jobsetID"),
        owner=jobfields.word(raw, "prodUserID"),
        label=jobfields.word(raw, "prodSourceLabel"),
        processing_type=jobfields.word(raw, "processingType"),
        priority=jobfields.integer(raw, "currentPriority", at_least=-jobfields.MAX_INTEGER),
        max_attempt=jobfields.limit(raw, "maxAttempt"),
        recover=jobfields.flag(raw, "useJobRecovery") or jobfields.wants_recovery(parameters),
        transformation=transformation,
        parameters=parameters,
        requirements=_requirements(raw),
        inputs=inputs,
        outputs=outputs,
        log=log,
        transfer_type=jobfields.word(raw, "transferType"),
        input_access=jobfields.input_access(parameters),
        alt_stage_out=jobfields.alternative(raw, "altStageOut"),
        container_name=jobfields.word(raw, "container_name"),
        software_release=jobfields.word(raw, "swRelease"),
        home_package=jobfields.word(raw, "homepackage"),
        platform=jobfields.word(raw, "cmtConfig"),
        debug=jobfields.flag(raw, "debug"),
        extra=_extra(raw),
    )


def _extra(raw: Mapping[str, object]) -> dict[str, msgspec.Raw]:
    """The fields that nobody here reads, as the server sent them."""
    extra: dict[str, msgspec.Raw] = {}
    for name, value in raw.items():
        if name in CONSUMED_FIELDS or SECRET_FIELDS.search(name):
            continue
        try:
            name.encode()
            extra[name] = msgspec.Raw(msgspec.json.encode(value))
        except UnicodeEncodeError:
            # It could be kept in no journal, and told to nobody.
            why = "holds half of a character (lone surrogate)"
            raise JobSpecError(jobfields.shown(name).strip("'"), why, jobfields.shown(value)) from None
    return extra


def _requirements(raw: Mapping[str, object]) -> Requirements:
    return Requirements(
        cores=jobfields.integer(raw, "coreCount") or 1,
        memory_mb=jobfields.limit(raw, "minRamCount"),
        disk_mb=jobfields.limit(raw, "maxDiskCount"),
        walltime_s=jobfields.limit(raw, "maxWalltime"),
        cpu_time_s=jobfields.limit(raw, "maxCpuCount"),
    )


def _inputs(raw: Mapping[str, object]) -> tuple[FileSpec, ...]:
    lfns = [jobfields.file_name("inFiles", lfn) for lfn in jobfields.names(raw, "inFiles")]
    count = len(lfns)
    columns = zip(
        lfns,
        jobfields.exact_list(raw, "scopeIn", count),
        jobfields.padded_list(raw, "GUID", count),
        jobfields.exact_list(raw, "realDatasetsIn", count),
        jobfields.exact_list(raw, "fsize", count),
        jobfields.exact_list(raw, "checksum", count),
        jobfields.exact_list(raw, "ddmEndPointIn", count),
        jobfields.exact_list(raw, "prodDBlockToken", count),
        strict=True,
    )
    found: dict[str, FileSpec] = {}
    for lfn, scope, guid, dataset, size, checksum, endpoint, token in columns:
        if lfn in _OWN_INPUT_NAMES:
            raise JobSpecError("inFiles", "is a name of the pilot's own files", jobfields.shown(lfn))
        file = FileSpec(
            lfn=lfn,
            role=FileRole.INPUT,
            scope=scope,
            guid=guid,
            dataset=dataset,
            size_bytes=jobfields.size_bytes("fsize", size),
            checksum=jobfields.checksum("checksum", checksum),
            endpoint=endpoint,
            token=token,
        )
        if found.setdefault(lfn, file) != file:
            raise JobSpecError("inFiles", "names two different files alike", jobfields.shown(lfn))
    return tuple(found.values())


def _outputs(raw: Mapping[str, object]) -> tuple[tuple[FileSpec, ...], FileSpec | None]:
    """Outputs and log; `outFiles` names both, and every list but `scopeOut` counts both."""
    lfns, log_name = _output_names(raw)
    count = len(lfns)
    scopes = iter(_output_scopes(raw, lfns, log_name))
    columns = zip(
        lfns,
        jobfields.padded_list(raw, "realDatasets", count),
        jobfields.exact_list(raw, "ddmEndPointOut", count),
        jobfields.padded_list(raw, "destinationDBlockToken", count),
        strict=True,
    )
    may_be_absent = frozenset(jobfields.names(raw, "allowNoOutput"))
    outputs: list[FileSpec] = []
    log: FileSpec | None = None
    if log_name is not None:
        guid, scope = jobfields.word(raw, "logGUID"), jobfields.word(raw, "scopeLog")
        log = FileSpec(lfn=log_name, role=FileRole.LOG, guid=guid, scope=scope)
    for lfn, dataset, endpoint, token in columns:
        if log is not None and lfn == log_name:
            log = msgspec.structs.replace(log, dataset=dataset, endpoint=endpoint, token=token)
            continue
        outputs.append(
            FileSpec(
                lfn=lfn,
                role=FileRole.OUTPUT,
                scope=next(scopes),
                dataset=dataset,
                endpoint=endpoint,
                token=token,
                may_be_absent=lfn in may_be_absent,
            )
        )
    return tuple(outputs), log


def _output_names(raw: Mapping[str, object]) -> tuple[list[str], str | None]:
    """The names of `outFiles`, and that of the log, which a server lists there too."""
    lfns = [
        jobfields.file_name("outFiles", lfn, code=BAD_OUTPUT_NAME) for lfn in jobfields.names(raw, "outFiles")
    ]
    log_name = jobfields.text(raw, "logFile")
    if log_name is not None:
        jobfields.file_name("logFile", log_name, code=BAD_OUTPUT_NAME)
    seen: set[str] = set()
    for lfn in lfns:
        if lfn in seen:
            raise JobSpecError("outFiles", "names a file twice", jobfields.shown(lfn), BAD_OUTPUT_NAME)
        seen.add(lfn)
    if "picard" in seen or log_name == "picard":
        raise JobSpecError("outFiles", "is the pilot's own folder", "picard", BAD_OUTPUT_NAME)
    if _PILOT_LOG in seen and log_name != _PILOT_LOG:
        # It grows until the very end, so that no copy of it would be whole.
        raise JobSpecError("outFiles", "is the pilot's own log", _PILOT_LOG, BAD_OUTPUT_NAME)
    return lfns, log_name


def _output_scopes(raw: Mapping[str, object], lfns: list[str], log_name: str | None) -> list[str | None]:
    """`scopeOut` has no element for the log; a server that counts the log too is understood as well."""
    if log_name not in lfns:
        return jobfields.exact_list(raw, "scopeOut", len(lfns))
    if len(jobfields.names(raw, "scopeOut")) == len(lfns) > 1:
        scopes = jobfields.exact_list(raw, "scopeOut", len(lfns))
        return [scope for lfn, scope in zip(lfns, scopes, strict=True) if lfn != log_name]
    return jobfields.exact_list(raw, "scopeOut", len(lfns) - 1)


def _refuse_overwriting(
    inputs: tuple[FileSpec, ...], outputs: tuple[FileSpec, ...], log: FileSpec | None
) -> None:
    """An output named like an input would be written over it, and no report could tell the two apart."""
    names = {file.lfn for file in inputs}
    for file in (*outputs, *((log,) if log else ())):
        if file.lfn in names:
            why = "names an output like an input"
            raise JobSpecError("outFiles", why, jobfields.shown(file.lfn), BAD_OUTPUT_NAME)


def _missing(field: str, raw: Mapping[str, object]) -> JobSpecError:
    return JobSpecError(field, "is missing", f"there are {len(raw)} other fields", NOT_DEFINED)


def _broken(raw: Mapping[str, object], error: JobSpecError) -> BrokenJob:
    return BrokenJob(
        job_id=_number_or_none(raw, "PandaID") or None,
        attempt_nr=_number_or_none(raw, "attemptNr"),
        field=error.field,
        why=error.why,
        evidence=error.evidence,
        code=error.code,
    )


def _number_or_none(raw: Mapping[str, object], name: str) -> int | None:
    try:
        return jobfields.integer(raw, name)
    except JobSpecError:
        return None


def catalogue_checksum(checksum: Checksum) -> str:
    """The checksum in the form of the `checksum` list and of the server's file table (`ad:`, `md5:`)."""
    return f"{'ad' if checksum.kind is ChecksumKind.ADLER32 else 'md5'}:{checksum.value}"
