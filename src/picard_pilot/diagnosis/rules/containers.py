"""Rules for container runtimes that did not start what they should: apptainer, singularity, podman, docker.

Only of payloads that failed: one that exits with 0 after such words did what it had to. Failures of the pilot's own
confinement are read in `isolation`.
"""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

_FATAL = r"FATAL: {1,9}.*"

RULES: tuple[Rule, ...] = (
    Rule(
        name="container.no_apptainer",
        error="APPTAINERNOTINSTALLED",
        where=Where.OUTPUT,
        when=r"apptainer: (?:command )?not found|apptainer: No such file|executable file not "
        r"found.*apptainer",
        is_pattern=True,
        specificity=Specificity.CERTAIN,
        says="the node has no apptainer",
        advice="Install apptainer on the node, or make it available from CVMFS.",
        sample="./run.sh: line 3: apptainer: command not found",
        counter_sample="apptainer: 1.3.4 found",
    ),
    Rule(
        name="container.no_singularity",
        error="SINGULARITYNOTINSTALLED",
        where=Where.OUTPUT,
        when=r"singularity: (?:command )?not found|singularity: No such file|executable file not "
        r"found.*singularity",
        is_pattern=True,
        specificity=Specificity.CERTAIN,
        says="the node has no singularity",
        advice="Install apptainer, which brings the command singularity, on the node.",
        sample="./run.sh: line 3: singularity: command not found",
        counter_sample="singularity: 3.8.7 found",
    ),
    Rule(
        name="container.no_loop_device",
        error="SINGULARITYNOLOOPDEVICES",
        where=Where.OUTPUT,
        when=r"(?:no|failed to find|could not find|couldn't find|[Ff]ailed to attach).{0,40}loop devices?|"
        r"loop device.*(?:[Nn]o such device|not available|exhausted)",
        is_pattern=True,
        specificity=Specificity.CERTAIN,
        says="the node has no loop device left for the container's image",
        advice="Raise the number of loop devices (max loop devices in apptainer.conf), or use an unpacked "
        "image.",
        sample="FATAL:   container creation failed: mount /proc/self/fd/3->/session/rootfs error: while "
        "mounting image: "
        "failed to find loop device: no loop devices available",
        counter_sample="using loop device /dev/loop0",
    ),
    Rule(
        name="container.bind",
        error="SINGULARITYBINDPOINTFAILURE",
        where=Where.OUTPUT,
        when=_FATAL + r"(?:bind (?:point|path)|mount .*->.*: (?:mount source|destination) \S+ doesn't exist|"
        r"could not mount \S+: (?:no such|permission)|mount hook function failure.*(?:bind|mount source))|"
        r"OCI runtime.*(?:bind|mount).*(?:no such file|not a directory)",
        is_pattern=True,
        specificity=Specificity.CERTAIN,
        says="the container runtime could not bind a directory into the container",
        advice="Check that the directory is on the node, and the queue's container options.",
        sample="FATAL:   container creation failed: mount hook function failure: mount /data->/data error: "
        "while mounting "
        "/data: mount source /data doesn't exist",
        counter_sample="INFO:    bind point /data mounted",
    ),
    Rule(
        name="container.image_mount",
        error="SINGULARITYIMAGEMOUNTFAILURE",
        where=Where.OUTPUT,
        when=r"[Ff]ailed to mount image|while mounting image|squashfuse\S* .*(?:failed|error|exited)|"
        r"while (?:extracting|opening) image.*(?:squashfs|magic)|image format not recogni[sz]ed",
        is_pattern=True,
        specificity=Specificity.CERTAIN - 2,
        says="the container's image could not be mounted",
        advice="Check the image's file, and squashfuse or the set-uid installation of apptainer on the node.",
        sample="ERROR  : Failed to mount image in (read only): Invalid argument\nABORT  : Retval = 255",
        counter_sample="image mounted (read only)",
    ),
    Rule(
        name="container.new_user_namespace",
        error="SINGULARITYNEWUSERNAMESPACE",
        where=Where.OUTPUT,
        when=r"NEWUSER namespace",
        is_pattern=True,
        specificity=Specificity.CERTAIN + 2,
        says="the container runtime may not make a user namespace on this node",
        advice="Allow user namespaces: user.max_user_namespaces above 0, "
        "kernel.unprivileged_userns_clone=1, and a profile "
        "of AppArmor where that forbids them.",
        sample="ERROR  : Failed invoking the NEWUSER namespace runtime: Invalid argument\nABORT  : Retval "
        "= 255",
        counter_sample="in a namespace of its own",
    ),
    Rule(
        name="container.user_namespace",
        error="SINGULARITYFAILEDUSERNAMESPACE",
        where=Where.OUTPUT,
        when=r"[Ff]ailed to create user namespace|could not (?:create|set up) user namespace|"
        r"cannot (?:clone|set up namespace).*(?:Operation not permitted|No space left)|setting up uid "
        r"map.*not permitted|"
        r"newuidmap.*(?:not permitted|failed)|bwrap: .*(?:namespace|uid map)",
        is_pattern=True,
        specificity=Specificity.CERTAIN + 1,
        says="the container runtime could not set up a user namespace on this node",
        advice="Check user.max_user_namespaces, /etc/subuid and /etc/subgid for the account, and the "
        "kernel's restrictions.",
        sample="ERROR  : Failed to create user namespace: user namespace disabled",
        counter_sample="user namespace created",
    ),
    Rule(
        name="container.no_resource",
        error="SINGULARITYRESOURCEUNAVAILABLE",
        where=Where.OUTPUT,
        when=r"(?:FATAL|ERROR) *: +.*Resource temporarily unavailable|(?:apptainer|singularity|starter).*"
        r"(?:pthread_create failed|Resource temporarily unavailable)|runtime: failed to create new OS thread",
        is_pattern=True,
        specificity=Specificity.CERTAIN,
        says="the node refused the container runtime a process or another resource",
        advice="Check the limits on processes of this account (ulimit -u, pids.max), and who uses them up.",
        sample="FATAL:   container creation failed: while starting: fork/exec: Resource temporarily "
        "unavailable",
        counter_sample="resources available",
    ),
    Rule(
        name="container.no_image",
        error="IMAGENOTFOUND",
        where=Where.OUTPUT,
        when=_FATAL
        + r"(?:could not open image|image .*not found|[Uu]nable to (?:open|handle|pull).*(?:no such file|manifest "
        r"unknown|not found|requested access|404|unauthorized)|stat \S+: no such file)|[Mm]anifest unknown|"
        r"Unable to find image '|repository does not exist or may require|ERROR +: (?:Image path|No valid "
        r"/bin/sh)",
        is_pattern=True,
        specificity=Specificity.CERTAIN + 1,
        says="the container's image was not found",
        advice="Check the image's name and tag in the job's description, and that its registry or CVMFS "
        "has it.",
        sample="FATAL:   could not open image /cvmfs/images.example.org/atlas/ana:v9: failed to retrieve "
        "path: lstat: no "
        "such file or directory",
        counter_sample="INFO:    image /cvmfs/images.example.org/ana:v8 opened",
    ),
    Rule(
        name="container.no_registry",
        error="SERVICENOTAVAILABLE",
        where=Where.OUTPUT,
        when=r"(?:FATAL|Error).*(?:pinging container registry|toomanyrequests|registry.*(?:i/o timeout|no "
        r"such host|connection "
        r"refused|TLS handshake timeout))",
        is_pattern=True,
        specificity=Specificity.CERTAIN,
        blame=Blame.NETWORK,
        retry=Retry.ELSEWHERE,
        says="the registry of container images could not be reached, or gives no more for now",
        advice="Use an image that is unpacked on CVMFS: registries limit how often a site may pull.",
        sample="FATAL:   Unable to handle docker://example/ana: while pinging container registry "
        "registry.example.org: dial "
        "tcp: i/o timeout",
        counter_sample="pulled from registry in 12 s",
    ),
    Rule(
        name="container.no_program",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.OUTPUT,
        when=r"FATAL: +\"?(?P<program>[^ \"]+)\"?: executable file not found in \$PATH|"
        r"OCI runtime.*exec: \"(?P<other>[^\"]+)\".*(?:not found|no such file)",
        is_pattern=True,
        specificity=Specificity.CERTAIN - 2,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="the program that is to run is not in the container's image",
        advice="Check the program's name and the image: what is on the node is not in the container.",
        sample='FATAL:   "reco": executable file not found in $PATH',
        counter_sample='INFO:    "reco" found in $PATH',
    ),
    Rule(
        name="container.failed",
        error="SINGULARITYGENERALFAILURE",
        where=Where.OUTPUT,
        when=r"^(?:\S+ )?FATAL: +(?:container creation failed|while |kernel reported|exec |starter|could "
        r"not|failed to)|"
        r"^ABORT *: Retval = 255|OCI runtime (?:create|exec) failed",
        is_pattern=True,
        exits=(1, 125, 126, 127, 255),
        specificity=Specificity.FAILURE + 3,
        says="the container runtime failed",
        advice="The evidence has its words; try `apptainer exec IMAGE true` on the node.",
        sample="FATAL:   container creation failed: while loading overlay: operation not permitted",
        counter_sample="INFO:    container created",
    ),
)
