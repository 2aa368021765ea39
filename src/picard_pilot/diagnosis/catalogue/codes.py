"""The catalogue's rows: one per error number that Picard reports; numbers are never reused.

Numbers and names are those in use on the wire since pilot 1, so that servers, monitors and the batch wrapper
understand them. How evidence becomes one of them is not here.
"""

from typing import NamedTuple

from picard_pilot.model.fault import Blame, Retry


class Code(NamedTuple):
    """One error: number, name, meaning in a sentence, who has to act, whether a retry helps, the next step."""

    number: int
    name: str
    meaning: str
    blame: Blame
    retry: Retry
    next_step: str


_SPACE = "Free disk space on the node, or lower the job's disk request so that it is sent to a larger one."
_LOG = "Read the pilot's log, pilotlog.txt, at the time of the failure."

ROWS: tuple[Code, ...] = (
    Code(1008, "GENERALERROR", "The pilot failed for a reason nothing more specific covers", Blame.PILOT, Retry.ELSEWHERE, _LOG),
    Code(1098, "NOLOCALSPACE", "The node's local disk is full", Blame.NODE, Retry.ELSEWHERE, _SPACE),
    Code(1099, "STAGEINFAILED", "An input could not be staged in", Blame.STORAGE, Retry.ELSEWHERE, "Look at the attempts listed in the evidence and at the storage they name."),
    Code(1103, "NOSUCHFILE", "A local file that should exist is absent", Blame.NODE, Retry.HERE, _LOG),
    Code(1104, "USERDIRTOOLARGE", "The payload's directory grew past the queue's limit", Blame.PAYLOAD, Retry.NEVER, "Write less into the working directory, or ask for a queue with a larger maxwdir."),
    Code(1106, "STDOUTTOOBIG", "The payload wrote more to stdout or stderr than is allowed", Blame.PAYLOAD, Retry.NEVER, "Make the program less talkative; its output up to the limit is in the log archive."),
    Code(1110, "SETUPFAILURE", "The experiment's setup of the job failed", Blame.EXPERIMENT, Retry.ELSEWHERE, "Look at the plug-in and hook that the evidence names."),
    Code(1116, "QUEUEDATA", "The queue's description could not be found", Blame.PILOT, Retry.ELSEWHERE, "Check the queue's name and the files given with --site-file; `ppilot config show --origin` lists them."),
    Code(1117, "QUEUEDATANOTOK", "The queue's description is unusable", Blame.PILOT, Retry.ELSEWHERE, "Mend the field that the evidence names in the queue's description."),
    Code(1124, "OUTPUTFILETOOLARGE", "An output is larger than permitted", Blame.PAYLOAD, Retry.NEVER, "Split the output, or ask the site for a larger limit."),
    Code(1133, "NOSTORAGE", "No storage endpoint is configured for this activity", Blame.STORAGE, Retry.ELSEWHERE, "Add an endpoint for the activity to the queue's description."),
    Code(1137, "STAGEOUTFAILED", "An output could not be stored", Blame.STORAGE, Retry.ELSEWHERE, "Look at the attempts listed in the evidence and at the storage they name."),
    Code(1141, "PUTMD5MISMATCH", "A stored output has another md5 than the file on the node", Blame.STORAGE, Retry.HERE, "Check the storage and the node's memory: bytes were changed on the way."),
    Code(1144, "PANDAKILL", "The server asked for the job to be killed", Blame.USER, Retry.NEVER, "Nothing to mend: somebody, or the server's own rules, ended the job."),
    Code(1145, "GETMD5MISMATCH", "An input has another md5 than its catalogue says", Blame.STORAGE, Retry.ELSEWHERE, "Report the replica as bad; another replica may be good."),
    Code(1149, "TRFDOWNLOADFAILURE", "The transformation could not be fetched", Blame.USER_INPUT, Retry.NEVER, "Give the transformation as a command, or use an experiment that downloads it."),
    Code(1150, "LOOPINGJOB", "The payload showed no activity for too long", Blame.PAYLOAD, Retry.NEVER, "Look at the last lines of the payload's output for what it waited on."),
    Code(1151, "STAGEINTIMEOUT", "An input's transfer ran out of time", Blame.STORAGE, Retry.ELSEWHERE, "Check whether the storage is slow or frozen."),
    Code(1152, "STAGEOUTTIMEOUT", "An output's transfer ran out of time", Blame.STORAGE, Retry.ELSEWHERE, "Check whether the storage is slow or frozen."),
    Code(1163, "NOPROXY", "No valid grid proxy or token was found", Blame.NODE, Retry.ELSEWHERE, "Give the pilot a credential: BEARER_TOKEN_FILE, PANDA_AUTH_TOKEN or X509_USER_PROXY."),
    Code(1165, "MISSINGOUTPUTFILE", "The payload did not write an output that the job names", Blame.PAYLOAD, Retry.NEVER, "Check the program's output file names against the job's; its stdout and stderr are in the log archive."),
    Code(1168, "SIZETOOLARGE", "The inputs are larger than the queue or the disk permits", Blame.NODE, Retry.ELSEWHERE, _SPACE),
    Code(1171, "GETADMISMATCH", "An input has another adler32 than its catalogue says", Blame.STORAGE, Retry.ELSEWHERE, "Report the replica as bad; another replica may be good."),
    Code(1172, "PUTADMISMATCH", "A stored output has another adler32 than the file on the node", Blame.STORAGE, Retry.HERE, "Check the storage and the node's memory: bytes were changed on the way."),
    Code(1187, "NOPAYLOADMETADATA", "The payload wrote no job report although one is needed", Blame.PAYLOAD, Retry.NEVER, "Check that the program writes jobReport.json into its working directory."),
    Code(1190, "LFNTOOLONG", "A file name is longer than 255 bytes", Blame.USER_INPUT, Retry.NEVER, "Shorten the name in the job's description."),
    Code(1191, "ZEROFILESIZE", "A file has no bytes", Blame.PAYLOAD, Retry.NEVER, "Check why the program wrote an empty file."),
    Code(1199, "MKDIR", "A local directory could not be made", Blame.NODE, Retry.ELSEWHERE, "Check the work directory's owner, mode and free space."),
    Code(1200, "KILLSIGNAL", "The pilot was ended by a signal", Blame.BATCH, Retry.ELSEWHERE, "Ask the batch system's log why it sent the signal."),
    Code(1201, "SIGTERM", "The pilot received SIGTERM", Blame.BATCH, Retry.ELSEWHERE, "Usually the batch system ended the slot (time limit, preemption, drain); see its log."),
    Code(1202, "SIGQUIT", "The pilot received SIGQUIT", Blame.BATCH, Retry.ELSEWHERE, "Ask the batch system's log why it sent the signal."),
    Code(1204, "SIGXCPU", "The pilot received SIGXCPU", Blame.BATCH, Retry.ELSEWHERE, "The slot's CPU time limit is used up; the job needs a longer queue."),
    Code(1206, "SIGBUS", "The pilot received SIGBUS", Blame.BATCH, Retry.ELSEWHERE, "Ask the batch system's log why it sent the signal."),
    Code(1207, "SIGUSR1", "The pilot received SIGUSR1", Blame.BATCH, Retry.ELSEWHERE, "A warning of the batch system before its limit; see its log."),
    Code(1208, "SIGINT", "The pilot received SIGINT", Blame.BATCH, Retry.ELSEWHERE, "Somebody, or the wrapper, interrupted the pilot."),
    Code(1212, "PAYLOADOUTOFMEMORY", "The payload died of lack of memory", Blame.PAYLOAD, Retry.ELSEWHERE, "Ask for more memory, or make the program need less."),
    Code(1213, "REACHEDMAXTIME", "The time limit of the slot or pilot was reached", Blame.BATCH, Retry.ELSEWHERE, "Send the job to a queue with more time, or raise --lifetime."),
    Code(1220, "UNKNOWNPAYLOADFAILURE", "The payload failed and nothing explains it", Blame.PAYLOAD, Retry.ELSEWHERE, "Read payload.stdout and payload.stderr in the log archive."),
    Code(1221, "FILEEXISTS", "Another file already stands where an output should be stored", Blame.STORAGE, Retry.NEVER, "Find out which job wrote it; nothing was overwritten."),
    Code(1235, "PAYLOADEXCEEDMAXMEM", "The payload used more memory than allowed", Blame.PAYLOAD, Retry.ELSEWHERE, "Ask for more memory, or make the program need less."),
    Code(1301, "UNKNOWNEXCEPTION", "The pilot met an error that it does not know", Blame.PILOT, Retry.ELSEWHERE, _LOG),
    Code(1302, "CONVERSIONFAILURE", "A value of the job's description has the wrong type", Blame.USER_INPUT, Retry.NEVER, "Mend the field that the evidence names in the job's description."),
    Code(1303, "FILEHANDLINGFAILURE", "A local file could not be read, written or moved", Blame.NODE, Retry.ELSEWHERE, "Check the node's disk and the file's owner and mode."),
    Code(1305, "PAYLOADEXECUTIONFAILURE", "The payload ended with a non-zero exit code", Blame.PAYLOAD, Retry.NEVER, "Read the last lines of payload.stderr and payload.stdout; both are in the log archive."),
    Code(1310, "PAYLOADEXECUTIONEXCEPTION", "The payload could not be started", Blame.PAYLOAD, Retry.NEVER, "Check the program's name, its path and its mode."),
    Code(1311, "NOTDEFINED", "A mandatory field of the job's description is missing", Blame.USER_INPUT, Retry.NEVER, "Add the field that the evidence names to the job's description."),
    Code(1312, "NOTSAMELENGTH", "Parallel lists of the job's description differ in length", Blame.USER_INPUT, Retry.NEVER, "Mend the list that the evidence names in the job's description."),
    Code(1313, "NOSTORAGEPROTOCOL", "A storage endpoint has no usable protocol", Blame.STORAGE, Retry.ELSEWHERE, "Add a protocol that a mover of this pilot speaks to the endpoint's description."),
    Code(1314, "UNKNOWNCHECKSUMTYPE", "A checksum is of a kind that the pilot does not know", Blame.USER_INPUT, Retry.NEVER, "Give checksums as ad:<8 hex digits> or md5:<32 hex digits>."),
    Code(1318, "COMMUNICATIONFAILURE", "Talking to the server failed", Blame.SERVER, Retry.HERE, "Check that the server is up and reachable from this node."),
    Code(1319, "INTERNALPILOTPROBLEM", "The pilot contradicts itself", Blame.PILOT, Retry.ELSEWHERE, "Please report it with the job's journal, picard/journal.jsonl."),
    Code(1320, "LOGFILECREATIONFAILURE", "The log archive could not be made", Blame.NODE, Retry.ELSEWHERE, _LOG),
    Code(1323, "UNKNOWNCOPYTOOL", "The queue names a mover that this pilot does not have", Blame.PILOT, Retry.ELSEWHERE, "`ppilot plugin list` shows the movers; mend the queue's description or install the mover."),
    Code(1328, "PAYLOADSIGSEGV", "The payload crashed with a segmentation fault", Blame.PAYLOAD, Retry.NEVER, "Debug the program; its last lines are in payload.stderr in the log archive."),
    Code(1329, "NONDETERMINISTICDDM", "No rule gives a file's path on its storage endpoint", Blame.STORAGE, Retry.ELSEWHERE, "Give the endpoint a path rule in its description (rucio or flat), or use another endpoint."),
    Code(1331, "MISSINGINPUTFILE", "The storage says that an input does not exist", Blame.STORAGE, Retry.ELSEWHERE, "Check the input's name and its replicas in the catalogue."),
    Code(1332, "BLACKHOLE", "A fresh write to the node's disk failed", Blame.NODE, Retry.ELSEWHERE, "Take the node out of production and check its disk."),
    Code(1333, "NOREMOTESPACE", "The storage is full", Blame.STORAGE, Retry.ELSEWHERE, "Free space on the storage endpoint that the evidence names."),
    Code(1338, "STAGEINAUTHENTICATIONFAILURE", "The storage rejected the pilot's credentials for reading", Blame.STORAGE, Retry.ELSEWHERE, "Check the credential's expiry and its rights on the path."),
    Code(1342, "MIDDLEWAREIMPORTFAILURE", "A mover's software could not be loaded", Blame.NODE, Retry.ELSEWHERE, "Install the package that the evidence names."),
    Code(1344, "RESOURCEUNAVAILABLE", "The operating system refused a resource", Blame.NODE, Retry.ELSEWHERE, "Check the limits on processes and open files of this account."),
    Code(1359, "PANDAQUEUENOTACTIVE", "The queue is not active", Blame.PILOT, Retry.ELSEWHERE, "Nothing to do for the job; the queue's state is set in its description."),
    Code(1360, "IMAGENOTFOUND", "The container image was not found", Blame.USER_INPUT, Retry.NEVER, "Check the image's name in the job's description."),
    Code(1364, "MISSINGCREDENTIALS", "Credentials for a storage were not found", Blame.NODE, Retry.ELSEWHERE, "Give the pilot the credential that the evidence names."),
    Code(1371, "BADOUTPUTFILENAME", "A file name has characters that are not permitted", Blame.USER_INPUT, Retry.NEVER, "Use a bare name without path separators in the job's description."),
    Code(1373, "CERTIFICATEHASEXPIRED", "The credential for a storage has expired or is none", Blame.NODE, Retry.ELSEWHERE, "Renew the token, proxy or certificate that the evidence names; whoever starts the pilots has to do it."),
    Code(1376, "LOGCREATIONTIMEOUT", "Making the log archive took too long", Blame.NODE, Retry.ELSEWHERE, "Check the node's disk."),
    Code(1379, "PREEMPTION", "The slot was preempted", Blame.BATCH, Retry.ELSEWHERE, "Nothing to mend: a more important job took the slot."),
    Code(1383, "STAGEOUTAUTHENTICATIONFAILURE", "The storage rejected the pilot's credentials for writing", Blame.STORAGE, Retry.ELSEWHERE, "Check the credential's expiry and its rights on the path."),
    Code(1384, "QUEUENOTSETUPFORCONTAINERS", "The job wants a container but the queue offers none", Blame.PILOT, Retry.ELSEWHERE, "Send the job to a queue with container support."),
    Code(1385, "NOJOBSINPANDA", "The server had no job", Blame.SERVER, Retry.HERE, "Nothing to mend: there is no work for this queue."),
    Code(1386, "PANDAQUEUENOTONLINE", "The queue is not online", Blame.PILOT, Retry.ELSEWHERE, "Nothing to do for the job; the queue's status is set in its description."),
)  # fmt: skip

BY_NAME: dict[str, Code] = {row.name: row for row in ROWS}
BY_NUMBER: dict[int, Code] = {row.number: row for row in ROWS}
