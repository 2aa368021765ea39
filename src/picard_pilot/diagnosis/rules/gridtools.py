"""Rules for what gfal and Rucio clients say in payloads that move files by themselves.

The pilot's own transfers are classified where they happen, in `movers`.
"""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

_GFAL = r"gfal-\w+ error: "

RULES: tuple[Rule, ...] = (
    Rule(
        name="gfal.missing",
        error="MISSINGINPUTFILE",
        where=Where.LOGS,
        when=_GFAL + r"2 \(",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="the storage says that a file that the payload copies does not exist",
        advice="Check the file's path and its replicas in the catalogue.",
        sample="gfal-copy error: 2 (No such file or directory) - Result HTTP 404 : File not found after 1 "
        "attempts",
        counter_sample="gfal-copy: 2 files copied",
    ),
    Rule(
        name="gfal.forbidden",
        error="STAGEINAUTHENTICATIONFAILURE",
        where=Where.LOGS,
        when=_GFAL + r"(?:1|13) \(",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="the storage refused the payload's credential",
        advice="Ask the storage's admins whom it refused and why; look whether the payload has a credential, "
        "and for what.",
        sample="gfal-copy error: 13 (Permission denied) - Result HTTP 403 : Permission refused after 1 "
        "attempts",
        counter_sample="gfal-copy: permission granted",
    ),
    Rule(
        name="gfal.full",
        error="NOREMOTESPACE",
        where=Where.LOGS,
        when=_GFAL + r"(?:28|122) \(",
        is_pattern=True,
        specificity=Specificity.CAUSE + 3,
        says="a storage that the payload writes to is full",
        advice="Free space there, or let the pilot store outputs: it has other destinations.",
        sample="gfal-copy error: 28 (No space left on device) - TRANSFER ERROR: Copy failed",
        counter_sample="gfal-copy: 28 files copied",
    ),
    Rule(
        name="gfal.exists",
        error="FILEEXISTS",
        where=Where.LOGS,
        when=_GFAL + r"17 \(",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="a file that the payload stores is there already",
        advice="Let each job write names of its own, or let the pilot store outputs.",
        sample="gfal-copy error: 17 (File exists) - The file exists and overwrite is not set",
        counter_sample="gfal-copy: 17 files copied",
    ),
    Rule(
        name="gfal.timeout",
        error="STAGEINTIMEOUT",
        where=Where.LOGS,
        when=_GFAL + r"(?:110|62) \(",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="a storage did not answer the payload in time",
        advice="Check whether the storage is slow or frozen; the job may work later or at another site.",
        sample="gfal-copy error: 110 (Connection timed out) - globus_ftp_client: the operation was aborted",
        counter_sample="gfal-copy: 110 files copied",
    ),
    Rule(
        name="gfal.unreachable",
        error="SERVICENOTAVAILABLE",
        where=Where.LOGS,
        when=_GFAL + r"(?:5|70|104|107|111|112|113|103|71) \(",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.STORAGE,
        retry=Retry.ELSEWHERE,
        says="a storage could not be reached by the payload, or failed itself",
        advice="Check the storage that the evidence names, and the network to it.",
        sample="gfal-copy error: 70 (Communication error on send) - globus_xio: Unable to connect to "
        "se.example.org:2811",
        counter_sample="gfal-copy: 70 files copied",
    ),
    Rule(
        name="gfal.checksum",
        error="GETADMISMATCH",
        where=Where.LOGS,
        when=r"CHECKSUM MISMATCH|Source and destination checksums do not match|USER_DEFINE and SRC checksums",
        is_pattern=True,
        specificity=Specificity.CAUSE + 2,
        says="bytes were changed on the way of a copy by the payload",
        advice="Report the replica as bad if it happens again; another replica may be good.",
        sample="gfal-copy error: 5 (Input/output error) - DESTINATION CHECKSUM MISMATCH Source and "
        "destination checksums do "
        "not match",
        counter_sample="checksums match",
    ),
    Rule(
        name="rucio.unavailable",
        error="RUCIOSERVICEUNAVAILABLE",
        where=Where.LOGS,
        when=r"The requested service is not available at the "
        r"moment|rucio.*(?:ServiceUnavailable|ServerConnectionException)|"
        r"Cannot connect to the Rucio server|An unknown exception occurred.*(?:502|503|504)",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        retry=Retry.HERE,
        says="the Rucio server was not available to the payload",
        advice="Try again later; ask Rucio's keepers if it lasts.",
        sample="ERROR The requested service is not available at the moment.\nDetails: 503 Service "
        "Unavailable",
        counter_sample="rucio: service answered in 0.2 s",
    ),
    Rule(
        name="rucio.credentials",
        error="STAGEINAUTHENTICATIONFAILURE",
        where=Where.LOGS,
        when=r"^(?:.*\b)?Cannot authenticate\.?|CannotAuthenticate|Cannot authenticate to "
        r"account|AccessDenied: .*rucio|"
        r"rucio\.common\.exception\.(?:AccessDenied|InvalidRSEExpression)",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="Rucio refused the payload's credential or account",
        advice="Check RUCIO_ACCOUNT and the credential that the payload has.",
        sample="ERROR Cannot authenticate.\nDetails: Cannot authenticate to account puser with given "
        "credentials",
        counter_sample="authenticated as puser",
    ),
    Rule(
        name="rucio.no_did",
        error="NOREPLICAS",
        where=Where.LOGS,
        when=r"Data [Ii]dentifier not found|DataIdentifierNotFound|ReplicaNotFound|has no (?:available "
        r")?replicas|"
        r"No (?:valid|available) (?:replica|source)",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.USER_INPUT,
        says="Rucio knows no data set, file or replica by the name that the payload asks for",
        advice="Check scope and name in the job's parameters, and that the data has not been deleted.",
        sample="rucio.common.exception.DataIdentifierNotFound: Data identifier not found.",
        counter_sample="data identifier user.puser:test found",
    ),
    Rule(
        name="rucio.list_replicas",
        error="RUCIOLISTREPLICASFAILED",
        where=Where.LOGS,
        when=r"list_replicas.*(?:failed|error|timed out)|(?:failed|error|could not).*list(?:ing)? replicas",
        is_pattern=True,
        specificity=Specificity.FAILURE + 4,
        says="Rucio did not tell the payload where replicas are",
        advice="Try again later; ask Rucio's keepers if it lasts.",
        sample="ERROR list_replicas failed after 3 attempts",
        counter_sample="list_replicas: 3 found",
    ),
    Rule(
        name="rucio.no_download",
        error="STAGEINFAILED",
        where=Where.LOGS,
        when=r"None of the requested files have been "
        r"downloaded|NoFilesDownloaded|NotAllFilesDownloaded|Not all of the "
        r"requested files have been downloaded",
        is_pattern=True,
        specificity=Specificity.FAILURE,
        says="Rucio brought the payload not all of the files that it asked for",
        advice="Look at the attempts above this line in the log, and at the storages that they name.",
        sample="ERROR None of the requested files have been downloaded.",
        counter_sample="Total files downloaded: 3",
    ),
    Rule(
        name="rucio.no_upload",
        error="STAGEOUTFAILED",
        where=Where.LOGS,
        when=r"NoFilesUploaded|None of the (?:requested|given) files have been "
        r"uploaded|RSEWriteBlocked|RSE .* not available "
        r"for writing",
        is_pattern=True,
        specificity=Specificity.FAILURE,
        says="Rucio did not take the files that the payload stores by itself",
        advice="Let the pilot store outputs: it has other destinations and tries again.",
        sample="rucio.common.exception.NoFilesUploaded: None of the given files have been uploaded.",
        counter_sample="Successfully uploaded file hist.root",
    ),
    Rule(
        name="rucio.quota",
        error="NOREMOTESPACE",
        where=Where.LOGS,
        when=r"There is not enough quota left|InsufficientAccountLimit|InsufficientTargetRSEs",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.USER_INPUT,
        says="the account's quota in Rucio does not allow what the payload stores",
        advice="Delete old rules of the account, or ask for more quota at that storage.",
        sample="rucio.common.exception.InsufficientAccountLimit: There is not enough quota left to fulfil "
        "the operation.",
        counter_sample="quota left: 12 TB",
    ),
)
