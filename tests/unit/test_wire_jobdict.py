"""Reading job dictionaries, good and hostile."""

import pytest

from picard_pilot.model.files import Checksum, ChecksumKind, FileRole
from picard_pilot.model.job import InputAccess, Job
from picard_pilot.model.policy import AltStageOut
from picard_pilot.wire.jobdict import BrokenJob, catalogue_checksum, job_from_dict, read_jobs
from picard_pilot.wire.jobfields import JobSpecError

MINIMAL = {"PandaID": 7, "attemptNr": 2, "transformation": "/bin/true"}

TWO_INPUTS = {
    **MINIMAL,
    "inFiles": "a,b",
    "scopeIn": "data,data",
    "GUID": "g1,g2",
    "fsize": "10,20",
    "checksum": "ad:1,md5:" + "F" * 32,
    "realDatasetsIn": "ds,ds",
    "ddmEndPointIn": "SE,SE",
    "prodDBlockToken": "NULL,local",
}

OUTPUTS = {
    **MINIMAL,
    "outFiles": "hist.root,log.tgz,plot.png",
    "scopeOut": "user.a,user.b",
    "scopeLog": "user.log",
    "realDatasets": "d1,d2,d3",
    "ddmEndPointOut": "E1,E2,E3",
    "destinationDBlockToken": "t1,t2,t3",
    "logFile": "log.tgz",
    "logGUID": "guid-of-log",
    "allowNoOutput": "plot.png",
}


def error(raw):
    """Why this dictionary is refused."""
    with pytest.raises(JobSpecError) as caught:
        job_from_dict(raw)
    return caught.value


def test_the_least_that_is_a_job():
    """Everything that is not there is unknown, not zero."""
    job = job_from_dict(MINIMAL)

    assert (job.job_id, job.attempt_nr, job.transformation) == (7, 2, "/bin/true")
    assert job.requirements.cores == 1
    assert job.requirements.memory_mb is None
    assert (job.inputs, job.outputs, job.log, job.parameters) == ((), (), None, "")


@pytest.mark.parametrize("absent", ["NULL", "", None, "None"])
def test_four_ways_to_say_nothing(absent):
    """ "NULL", "", null and no key all mean None."""
    names = (
        "jobName",
        "taskID",
        "prodUserID",
        "maxWalltime",
        "inFiles",
        "logFile",
        "container_name",
        "jobPars",
    )
    job = job_from_dict({**MINIMAL, **dict.fromkeys(names, absent)})

    assert job == job_from_dict(MINIMAL)


def test_inputs_with_all_their_lists():
    """Each file gets its element of each list."""
    first, second = job_from_dict(TWO_INPUTS).inputs

    assert (first.lfn, first.scope, first.guid, first.size_bytes) == ("a", "data", "g1", 10)
    assert first.checksum == Checksum(ChecksumKind.ADLER32, "00000001")
    assert second.checksum == Checksum(ChecksumKind.MD5, "f" * 32)
    assert (first.token, second.token, first.role) == (None, "local", FileRole.INPUT)


def test_outputs_and_log():
    """scopeOut has no element for the log, wherever the log stands."""
    job = job_from_dict(OUTPUTS)

    assert [(file.lfn, file.scope, file.dataset) for file in job.outputs] == [
        ("hist.root", "user.a", "d1"),
        ("plot.png", "user.b", "d3"),
    ]
    assert [file.may_be_absent for file in job.outputs] == [False, True]
    assert job.log is not None
    assert (job.log.lfn, job.log.scope, job.log.guid) == ("log.tgz", "user.log", "guid-of-log")
    assert (job.log.dataset, job.log.endpoint, job.log.token) == ("d2", "E2", "t2")


def test_a_scope_for_the_log_too_is_understood():
    """Some servers count the log in scopeOut."""
    job = job_from_dict({**OUTPUTS, "scopeOut": "user.a,user.log,user.b"})

    assert [file.scope for file in job.outputs] == ["user.a", "user.b"]


def test_a_log_outside_out_files_is_a_log():
    """It has no dataset then."""
    job = job_from_dict({**MINIMAL, "outFiles": "x", "logFile": "log.tgz"})

    assert job.log is not None
    assert ([file.lfn for file in job.outputs], job.log.dataset) == (["x"], None)


def test_swallowed_commas_are_put_back():
    """Leading empty elements of some lists come without their comma."""
    job = job_from_dict({**OUTPUTS, "destinationDBlockToken": "t3"})

    assert [file.token for file in job.outputs] == [None, "t3"]


def test_an_empty_element_in_the_middle_keeps_its_place():
    """Three with only the middle one empty keep both commas."""
    job = job_from_dict({**OUTPUTS, "destinationDBlockToken": "t1,,t3"})

    assert job.log is not None
    assert (job.log.token, [file.token for file in job.outputs]) == (None, ["t1", "t3"])


@pytest.mark.parametrize("field", ["fsize", "checksum", "scopeIn", "realDatasetsIn", "ddmEndPointIn"])
@pytest.mark.parametrize("value", ["10", "10,20,30"])
def test_lists_of_different_lengths_are_refused(field, value):
    """With the pilot error code for it, naming the list."""
    refused = error({**TWO_INPUTS, field: value})

    assert (refused.field, refused.code) == (field, 1312)


def test_a_padded_list_must_not_be_longer():
    """Nothing adds elements."""
    assert error({**TWO_INPUTS, "GUID": "g1,g2,g3"}).code == 1312


@pytest.mark.parametrize(
    "lfn", ["../x", "a/b", "/etc/passwd", "..", ".", "a\\b", "a\0b", "a\nb", "a\x1b[2Jb", "a\x7fb", "a\x9bb"]
)
@pytest.mark.parametrize("field", ["inFiles", "outFiles", "logFile"])
def test_names_that_lead_elsewhere_are_refused(field, lfn):
    """No separator, no parent, no control character; the field is named."""
    refused = error({**MINIMAL, field: lfn})

    assert refused.field == field
    assert "\x1b" not in str(refused)
    assert "\n" not in str(refused)


@pytest.mark.parametrize("field", ["inFiles", "outFiles", "logFile"])
def test_names_longer_than_a_file_system_holds_are_refused(field):
    """255 bytes, not characters."""
    assert error({**MINIMAL, field: "é" * 128}).code == 1190
    assert job_from_dict({**MINIMAL, field: "x" * 255})


def test_an_empty_name_between_two_commas_is_refused():
    """It is no swallowed comma: those are leading."""
    assert error({**MINIMAL, "inFiles": "a,,b"}).field == "inFiles"


def test_outputs_alike_are_refused():
    """The output report is keyed by name."""
    assert error({**MINIMAL, "outFiles": "a,a"}).code == 1371


def test_an_output_named_like_an_input_is_refused():
    """It would be written over the input."""
    assert error({**MINIMAL, "inFiles": "a", "outFiles": "a"}).field == "outFiles"


def test_an_input_listed_twice_alike_is_one():
    """And two that differ are refused."""
    twice = {**MINIMAL, "inFiles": "a,a", "fsize": "1,1"}

    assert len(job_from_dict(twice).inputs) == 1
    assert error({**twice, "fsize": "1,2"}).field == "inFiles"


@pytest.mark.parametrize("name", ["picard", "payload.stdout", "pilotlog.txt"])
def test_an_input_may_not_replace_the_pilots_own_files(name):
    """Nothing of the pilot's is overwritten by stage-in."""
    assert error({**MINIMAL, "inFiles": name}).field == "inFiles"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("PandaID", None),
        ("PandaID", "seven"),
        ("PandaID", 7.5),
        ("PandaID", True),
        ("PandaID", 0),
        ("attemptNr", -1),
        ("attemptNr", None),
        ("transformation", None),
        ("transformation", 5),
        ("transformation", ["/bin/true"]),
        ("jobPars", {"a": 1}),
        ("jobPars", "a\0b"),
        ("jobPars", "a\ud800"),
        ("maxWalltime", -1),
        ("minRamCount", "many"),
        ("maxDiskCount", 10**30),
        ("coreCount", [1]),
        ("debug", "maybe"),
        ("jobName", "a\nb"),
        ("inFiles", ["a"]),
        ("taskID", 2**63),
        ("taskID", "9" * 5000),
    ],
)
def test_wrong_values_name_their_field(field, value):
    """A bad job description says which field is bad."""
    refused = error({**MINIMAL, field: value})

    assert refused.field == field
    assert len(str(refused)) < 300


@pytest.mark.parametrize("size", ["-1", "1.5", "0x10", "1e3", "ten"])
def test_bad_sizes_are_refused(size):
    """A size is a whole number."""
    assert error({**MINIMAL, "inFiles": "a", "fsize": size}).field == "fsize"


def test_a_size_of_zero_is_unknown():
    """The catalogue writes 0 where it does not know."""
    assert job_from_dict({**MINIMAL, "inFiles": "a", "fsize": "0"}).inputs[0].size_bytes is None


@pytest.mark.parametrize("checksum", ["ad:", "ad:xyz", "ad:123456789", "sha256:" + "0" * 64, "123", "md5:12"])
def test_bad_checksums_are_refused(checksum):
    """Neither adler32 nor md5."""
    refused = error({**MINIMAL, "inFiles": "a", "checksum": checksum})

    assert (refused.field, refused.code) == ("checksum", 1314)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ad:0A1B2C3D", ChecksumKind.ADLER32),
        ("0a1b2c3d", ChecksumKind.ADLER32),
        ("md:" + "0" * 32, ChecksumKind.MD5),
        ("0" * 32, ChecksumKind.MD5),
    ],
)
def test_checksums_in_their_forms(text, kind):
    """With a prefix or told by their length, always in lower case."""
    checksum = job_from_dict({**MINIMAL, "inFiles": "a", "checksum": text}).inputs[0].checksum

    assert checksum is not None
    assert (checksum.kind, checksum.value) == (kind, text.rpartition(":")[2].lower())
    assert catalogue_checksum(checksum).endswith(checksum.value)


def test_ten_megabytes_of_parameters_are_fine():
    """Shell text too: nothing here is ever given to a shell."""
    parameters = "; rm -rf / ` $(echo) \n" * 500_000

    assert job_from_dict({**MINIMAL, "jobPars": parameters}).parameters == parameters


@pytest.mark.parametrize(
    "name",
    [
        *("secrets", "pilotSecrets", "credname", "myproxy", "pandaProxySecretKey", "proxyKey", "userProxy"),
        *("objectStorePassword", "idToken", "s3ApiKey", "PRIVATEKEY"),
    ],
)
def test_a_field_that_is_called_like_a_secret_is_not_kept(name):
    """Servers and experiments add fields; none of them lands on the disk of a node because nobody had heard of it."""
    assert job_from_dict({**MINIMAL, name: "hush"}).extra == {}


@pytest.mark.parametrize("name", ["dispatchDBlockToken", "dispatchDBlockTokenForOut", "ioIntensity"])
def test_space_tokens_are_no_secrets(name):
    """They are the names of places."""
    assert name in job_from_dict({**MINIMAL, name: "ATLASDATADISK"}).extra


def test_unknown_fields_are_kept_and_secrets_are_not():
    """For the experiment; secrets never enter a job."""
    job = job_from_dict({**MINIMAL, "ioIntensity": 5, "secrets": "{}", "pilotSecrets": "{}", "nSent": 1})

    assert {name: bytes(value) for name, value in job.extra.items()} == {"ioIntensity": b"5"}


def test_one_broken_job_does_not_spoil_the_others():
    """It comes with what is needed to report it failed."""
    good, broken, hopeless = read_jobs({"jobs": [MINIMAL, {**MINIMAL, "inFiles": "../x"}, "no job"]})

    assert isinstance(good, Job)
    assert isinstance(broken, BrokenJob)
    assert (broken.job_id, broken.attempt_nr, broken.field) == (7, 2, "inFiles")
    assert isinstance(hopeless, BrokenJob)
    assert hopeless.job_id is None


@pytest.mark.parametrize("data", [None, {}, {"jobs": None}, {"jobs": {}}, []])
def test_an_answer_without_jobs_is_one_broken_job(data):
    """And no exception."""
    (broken,) = read_jobs(data)

    assert isinstance(broken, BrokenJob)
    assert broken.field == "jobs"


@pytest.mark.parametrize(
    ("field", "value"), [("newField", "\ud800"), ("newField", ["a", {"b": "\udfff"}]), ("\ud800", 1)]
)
def test_half_a_character_in_a_field_that_nobody_reads(field, value):
    """It costs this job and no other: it could not be written into a journal."""
    broken, good = read_jobs({"jobs": [{**MINIMAL, field: value}, {**MINIMAL, "PandaID": 8}]})

    assert isinstance(broken, BrokenJob)
    assert broken.job_id == 7
    assert broken.field == (field if field.isascii() else r"\ud800")
    assert isinstance(good, Job)


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ("", None),
        ("--accessmode=direct", InputAccess.DIRECT),
        ("run --accessmode=copy -x", InputAccess.COPY),
        ("run '--accessmode=direct' -x", InputAccess.DIRECT),
        ("run --accessmode direct", InputAccess.DIRECT),
        ("--accessmode=direct --accessmode=copy", InputAccess.COPY),
        ("--useLocalIO", InputAccess.COPY),
        ("--accessmode=direct --useLocalIO", InputAccess.COPY),
        ("--accessmode=directly", None),
        ("--no--accessmode=direct", None),
        ("--useLocalIOs x--useLocalIO", None),
    ],
)
def test_how_a_job_wants_its_inputs(parameters, wanted):
    """The words that users and frameworks put among the parameters; the parameters stay as they are."""
    job = job_from_dict({**MINIMAL, "jobPars": parameters})

    assert job.input_access is wanted
    assert job.parameters == parameters


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, False),
        ({"jobPars": "--useJobRecovery"}, True),
        ({"jobPars": "run '--useJobRecovery' -x"}, True),
        ({"jobPars": "--useJobRecoveryNot x--useJobRecovery"}, False),
        ({"useJobRecovery": "True"}, True),
        ({"useJobRecovery": "False"}, False),
    ],
)
def test_whether_a_user_wants_the_outputs_kept(fields, wanted):
    """By the word that frameworks know among the parameters, or by a field of its own."""
    assert job_from_dict({**MINIMAL, **fields}).recover is wanted


@pytest.mark.parametrize(("value", "wanted"), [(None, None), (0, None), (3, 3), ("2", 2)])
def test_how_many_attempts_a_server_will_make(value, wanted):
    """Where it says so."""
    assert job_from_dict({**MINIMAL, "maxAttempt": value}).max_attempt == wanted


@pytest.mark.parametrize(
    ("word", "wanted"),
    [("on", AltStageOut.ON), ("OFF", AltStageOut.OFF), ("force", AltStageOut.FORCE), ("NULL", None)],
)
def test_the_jobs_word_on_alternative_stage_out(word, wanted):
    """One of three words, or none."""
    job = job_from_dict({**MINIMAL, "altStageOut": word})

    assert job.alt_stage_out is wanted
    assert "altStageOut" not in job.extra


def test_an_unknown_word_on_alternative_stage_out():
    """Named with what may stand there."""
    found = error({**MINIMAL, "altStageOut": "maybe"})

    assert (found.field, found.why) == ("altStageOut", "must be on, off or force")
