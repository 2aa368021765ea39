"""Rules for what a node's operating system refuses: room on disks, quotas, processes, open files, rights.

A disk that is found full at the payload's end is in `ends`; storages that are full in `xrootd`, `gridtools` and `web`.
"""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

_SPACE = "Free disk space on the node, or raise the job's disk request so that it goes to a larger one."

RULES: tuple[Rule, ...] = (
    Rule(
        name="disk.no_space",
        error="NOLOCALSPACE",
        where=Where.LOGS,
        when=r"No space left on device|ENOSPC\b|[Ww]rite failed: disk full|OSError: \[Errno 28\]",
        is_pattern=True,
        specificity=Specificity.CAUSE + 1,
        says="a disk of the node was full while the payload wrote",
        advice=_SPACE,
        sample="OSError: [Errno 28] No space left on device: 'hist.root'",
        counter_sample="Filesystem /scratch: 120 GB of space left",
    ),
    Rule(
        name="disk.tmp_full",
        error="NOLOCALSPACE",
        where=Where.LOGS,
        when=r"(?P<path>(?>/(?:var/)?tmp\b[^ :'\"]*)).*No space left on device|No space left on "
        r"device.*(?P<file>/(?:var/)?tmp/)"
        r"|cannot create temp file for here-document",
        is_pattern=True,
        specificity=Specificity.CAUSE + 2,
        says="/tmp of the node is full",
        advice="Clean /tmp on the node; programs should write to TMPDIR, which is in the job's directory.",
        sample="cp: error writing '/tmp/puser/a.root': No space left on device",
        counter_sample="cp: error writing '/srv/a.root': No space left on device",
    ),
    Rule(
        name="disk.quota",
        error="NOLOCALSPACE",
        where=Where.LOGS,
        when=r"Disk quota exceeded|EDQUOT\b|quota exceeded for user",
        is_pattern=True,
        specificity=Specificity.CAUSE + 1,
        says="the quota of the pilot's account on a disk of the node was used up",
        advice="Clean the account's directories, such as its home, or raise its quota; nothing should "
        "write to the home.",
        sample="mkdir: cannot create directory ‘/home/puser/.cache’: Disk quota exceeded",
        counter_sample="Disk quota: 20 % used",
    ),
    Rule(
        name="disk.read_only",
        error="FILEHANDLINGFAILURE",
        where=Where.LOGS,
        when=r"Read-only file system|EROFS\b",
        is_pattern=True,
        specificity=Specificity.FAILURE + 3,
        says="the payload tried to write where nothing can be written",
        advice="Write into the job's directory only; if that is what is read-only, take the node out and "
        "check its disk.",
        sample="touch: cannot touch '/srv/out.txt': Read-only file system",
        counter_sample="mounted read-only: /cvmfs",
    ),
    Rule(
        name="disk.io_error",
        error="FILEHANDLINGFAILURE",
        where=Where.LOGS,
        when=r"(?<!/)\b(?:[Rr]ead|[Ww]rit|cannot|OSError|IOError|cp:|tar:|mv:|cat:).*Input/output error",
        is_pattern=True,
        specificity=Specificity.FAILURE + 2,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="a disk of the node failed (input/output error)",
        advice="Look into the node's kernel log for errors of the disk or the file system, and take the "
        "node out.",
        sample="cp: error reading 'in.root': Input/output error",
        counter_sample="Input/output: 20 MB/s, no error",
    ),
    Rule(
        name="disk.stale",
        error="FILEHANDLINGFAILURE",
        where=Where.LOGS,
        when=r"Stale (?:NFS )?file handle",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="a network file system of the node lost a file or directory that was in use",
        advice="Check the file server and its export; mount it again on the node.",
        sample="cat: /nfs/sw/setup.sh: Stale file handle",
        counter_sample="file handle 7 is stale no more",
    ),
    Rule(
        name="node.too_many_files",
        error="RESOURCEUNAVAILABLE",
        where=Where.LOGS,
        when=r"Too many open files",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="the payload reached the limit of open files",
        advice="Close files that are no longer needed, or ask the site to raise the limit (ulimit -n).",
        sample="OSError: [Errno 24] Too many open files: 'part_1021.root'",
        counter_sample="open files: 12",
    ),
    Rule(
        name="node.no_process",
        error="RESOURCEUNAVAILABLE",
        where=Where.LOGS,
        when=r"(?:fork|clone|pthread_create|can't start new thread|start a thread|[Tt]hread creation).*"
        r"(?:Resource temporarily unavailable|error=11|EAGAIN)|can't start new thread|fork: retry: |"
        r"pthread_create failed|libgomp: Thread creation failed",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        retry=Retry.ELSEWHERE,
        says="the node refused the payload another process or thread",
        advice="Check the limits on processes of this account (ulimit -u, pids.max), and how many the "
        "payload starts.",
        sample="bash: fork: retry: Resource temporarily unavailable",
        counter_sample="forked 4 workers",
    ),
    Rule(
        name="node.no_gpu",
        error="RESOURCEUNAVAILABLE",
        where=Where.LOGS,
        when=r"no CUDA-capable device is detected|CUDA_ERROR_NO_DEVICE|CUDA driver version is insufficient|"
        r"No CUDA GPUs are available|Found no NVIDIA driver on your system|NVIDIA-SMI has failed",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        retry=Retry.ELSEWHERE,
        says="the payload found no usable graphics card on the node",
        advice="Check that the queue has graphics cards and the node's driver works (nvidia-smi), and that "
        "the job asked "
        "for one.",
        sample="RuntimeError: No CUDA GPUs are available",
        counter_sample="1 CUDA GPU is available",
    ),
    Rule(
        name="node.shared_memory",
        error="RESOURCEUNAVAILABLE",
        where=Where.LOGS,
        when=r"/dev/shm.*(?:No space left|not enough|Permission denied)|insufficient shared memory|"
        r"unable to (?:open|mmap|write).*shared memory|shmget.*(?:failed|No space)",
        is_pattern=True,
        specificity=Specificity.CAUSE + 3,
        says="the node had no shared memory left for the payload",
        advice="Raise the size of /dev/shm on the node or in the container, or let the program use fewer "
        "workers.",
        sample="RuntimeError: DataLoader worker (pid 42) is killed: insufficient shared memory (shm)",
        counter_sample="shared memory: 64 MB",
    ),
    Rule(
        name="disk.permission",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"^PermissionError: \[Errno 13\]|: cannot "
        r"(?:create|open|remove|access|touch|stat|move|make)\b.*Permission denied",
        is_pattern=True,
        specificity=Specificity.FAILURE,
        blame=Blame.PAYLOAD,
        says="the payload wanted to use a file that it may not",
        advice="Write into the job's directory only, and read only what the job names as input.",
        sample="PermissionError: [Errno 13] Permission denied: '/etc/shadow'",
        counter_sample="Permissions set on 12 files",
    ),
    Rule(
        name="disk.no_file",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"^FileNotFoundError: \[Errno 2\] No such file or directory: (?P<path>.+)$|"
        r"^(?:\S*/)?(?:cp|mv|cat|ls|tar|cd|ln|bash|sh|python3?|source): .*: No such file or directory$|"
        r"^python3?: can't open file ",
        is_pattern=True,
        specificity=Specificity.FAILURE - 3,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="the payload wanted a file that is not there",
        advice="Check the name against the job's inputs, and that an earlier step of the payload wrote it.",
        sample="FileNotFoundError: [Errno 2] No such file or directory: 'selection.json'",
        counter_sample="selection.json: file found",
    ),
    Rule(
        name="disk.read_only_software",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"/cvmfs/.*Read-only file system|Read-only file system.*/cvmfs/",
        is_pattern=True,
        specificity=Specificity.FAILURE + 5,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="the payload tried to write to CVMFS, which is for reading only",
        advice="Write into the job's directory; caches of tools can be sent there by their environment "
        "variables.",
        sample="mkdir: cannot create directory ‘/cvmfs/sw.example.org/cache’: Read-only file system",
        counter_sample="mkdir: cannot create directory ‘/srv/cache’: Read-only file system",
    ),
    Rule(
        name="disk.file_too_large",
        error="OUTPUTFILETOOLARGE",
        where=Where.LOGS,
        when=r"[Ff]ile size limit exceeded|: File too large\b|\[Errno 27\]",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="the payload wrote a file larger than this account or file system may have",
        advice="Split the output, or ask the site to raise its limit of file sizes (ulimit -f).",
        sample="./run.sh: line 3:  4242 File size limit exceeded(core dumped) ./skim",
        counter_sample="file size: 2 GB",
    ),
    Rule(
        name="disk.mounted_storage",
        error="REMOTEFILECOULDNOTBEOPENED",
        where=Where.LOGS,
        when=r"^(?>.*?/eos/).*(?:Input/output error|Transport endpoint is not connected|Stale file handle|No "
        r"such device)",
        is_pattern=True,
        specificity=Specificity.CAUSE + 8,
        says="a storage that is mounted on the node failed under the payload",
        advice="Check the mount on the node and the storage behind it; inputs that the job names are "
        "staged in instead.",
        sample="cp: error reading '/eos/lab/data/a.root': Input/output error",
        counter_sample="cp: '/eos/lab/data/a.root' copied",
    ),
)
