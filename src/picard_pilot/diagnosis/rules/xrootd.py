"""Rules for what the XRootD client says in payloads that read or copy by themselves: xrdcp, xrdfs, ROOT.

The pilot's own transfers are classified where they happen, in `movers`; ROOT's own words are in `root_io`.
"""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

_STORAGE = "Check the storage that the evidence names, or its file's path in the job's parameters."

RULES: tuple[Rule, ...] = (
    Rule(
        name="xrootd.missing",
        error="MISSINGINPUTFILE",
        where=Where.LOGS,
        when=r"\[3011\]|No servers (?:are available|have (?:read )?access) to (?:read )?the file|"
        r"\[ERROR\] Server responded with an error: .*No such file",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="the storage says that a file that the payload reads does not exist",
        advice="Check the file's path and its replicas in the catalogue.",
        sample="Error in <TNetXNGFile::Open>: [ERROR] Server responded with an error: [3011] No servers "
        "are available to "
        "read the file.",
        counter_sample="[3000] Server responded: redirected",
    ),
    Rule(
        name="xrootd.forbidden",
        error="STAGEINAUTHENTICATIONFAILURE",
        where=Where.LOGS,
        when=r"\[3010\]|\[FATAL\] Auth failed|Server responded with an error: .*(?:[Pp]ermission "
        r"denied|not authori[sz]ed)|"
        r"No protocols left to try",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="the storage refused the payload's credential",
        advice="Ask the storage's admins whom it refused and why; look whether the payload has a credential "
        "(the experiment's hook `credentials`), and for what.",
        sample="Run: [FATAL] Auth failed: No protocols left to try (source)",
        counter_sample="Authenticated with ztn",
    ),
    Rule(
        name="xrootd.full",
        error="NOREMOTESPACE",
        where=Where.LOGS,
        when=r"\[3009\]|Server responded with an error: .*(?:[Nn]o space left|quota exceeded|out of space)",
        is_pattern=True,
        specificity=Specificity.CAUSE + 3,
        says="a storage that the payload writes to is full",
        advice="Free space there, or let the pilot store outputs: it has other destinations.",
        sample="Run: [ERROR] Server responded with an error: [3009] Unable to create /store/a.root; no "
        "space left on "
        "device (destination)",
        counter_sample="[1009] 12 TB of space left",
    ),
    Rule(
        name="xrootd.checksum",
        error="GETADMISMATCH",
        where=Where.LOGS,
        when=r"\[ERROR\] Check[Ss]um error|\[3019\]|checksum mismatch.*root://|root://.*checksum mismatch",
        is_pattern=True,
        specificity=Specificity.CAUSE + 2,
        says="bytes were changed on the way of a copy by the payload",
        advice="Report the replica as bad if it happens again; another replica may be good.",
        sample="Run: [ERROR] CheckSum error: expected 0a1b2c3d, got 4e5f6071 (destination)",
        counter_sample="CheckSum: adler32 0a1b2c3d",
    ),
    Rule(
        name="xrootd.timeout",
        error="STAGEINTIMEOUT",
        where=Where.LOGS,
        when=r"\[(?:ERROR|FATAL)\] (?:Operation expired|Socket timeout|Request timed out)",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="a storage did not answer the payload in time",
        advice="Check whether the storage is slow or frozen; the job may work later or at another site.",
        sample="Error in <TNetXNGFile::Open>: [ERROR] Operation expired",
        counter_sample="operation done in 12 s",
    ),
    Rule(
        name="xrootd.unreachable",
        error="SERVICENOTAVAILABLE",
        where=Where.LOGS,
        when=r"\[(?:FATAL|ERROR)\] (?:Connection error|Socket error|Stream disconnect|Redirect limit|"
        r"Handshake failed|TLS error)|\[3012\]|\[3005\]",
        is_pattern=True,
        specificity=Specificity.CAUSE - 1,
        blame=Blame.STORAGE,
        retry=Retry.ELSEWHERE,
        says="a storage that the payload reads from or writes to could not be reached, or failed itself",
        advice=_STORAGE,
        sample="Run: [FATAL] Connection error: Connection refused (source)",
        counter_sample="Connection to se.example.org:1094 established",
    ),
    Rule(
        name="xrootd.address",
        error="UNREACHABLENETWORK",
        where=Where.LOGS,
        when=r"\[FATAL\] (?:Invalid address|Hostname lookup)|\[ERROR\] Invalid (?:address|URL)",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="the name of a storage that the payload uses has no address",
        advice="Check the host's name in the job's parameters, and the node's name service.",
        sample="Run: [FATAL] Invalid address: unable to resolve se.example.org (source)",
        counter_sample="address of se.example.org: 192.0.2.1",
    ),
    Rule(
        name="xrootd.exists",
        error="FILEEXISTS",
        where=Where.LOGS,
        when=r"\[3018\]|Server responded with an error: .*File exists|\[ERROR\] (?:Local error: )?[Ff]ile "
        r"exists",
        is_pattern=True,
        specificity=Specificity.CAUSE + 1,
        says="a file that the payload stores is there already",
        advice="Let each job write names of its own, or let the pilot store outputs.",
        sample="Run: [ERROR] Server responded with an error: [3018] Unable to create /store/a.root; File "
        "exists "
        "(destination)",
        counter_sample="file /store/a.root created",
    ),
    Rule(
        name="xrootd.copy",
        error="XRDCPERROR",
        where=Where.LOGS,
        when=r"^Run: \[(?:ERROR|FATAL)\] ",
        is_pattern=True,
        specificity=Specificity.FAILURE,
        says="a copy by xrdcp in the payload failed",
        advice=_STORAGE,
        sample="Run: [ERROR] Operation not supported (destination)",
        counter_sample="[1.2GB/1.2GB][100%][==========][30MB/s]",
    ),
)
