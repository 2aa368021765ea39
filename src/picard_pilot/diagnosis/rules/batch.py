"""Rules for what batch systems write into a payload's logs when they end it. Signals are in `ends`."""

from picard_pilot.model.fault import Blame
from picard_pilot.model.rule import Rule, Specificity, Where

RULES: tuple[Rule, ...] = (
    Rule(
        name="batch.time_limit",
        error="REACHEDMAXTIME",
        where=Where.LOGS,
        when=r"CANCELLED AT \S+ DUE TO TIME LIMIT|TERM_(?:RUNLIMIT|CPULIMIT)|job killed: (?:walltime|cput) "
        r"\d+\S* exceeded|"
        r"CPU time limit exceeded|exceeded hard wallclock time|SYSTEM_PERIODIC_REMOVE.*(?:wall|time)",
        is_pattern=True,
        specificity=Specificity.CERTAIN + 4,
        says="the batch system ended the payload at a limit of time",
        advice="Send the job to a queue with more time, or make the job smaller.",
        sample="slurmstepd: error: *** STEP 4711.0 ON node7 CANCELLED AT 2026-11-02T10:00:00 DUE TO TIME "
        "LIMIT ***",
        counter_sample="time limit: 48:00:00",
    ),
    Rule(
        name="batch.preempted",
        error="PREEMPTION",
        where=Where.LOGS,
        when=r"CANCELLED AT \S+ DUE TO PREEMPTION|TERM_PREEMPT|job was preempted|Pod was "
        r"(?:evicted|preempted)|"
        r"The node was low on resource",
        is_pattern=True,
        specificity=Specificity.CERTAIN + 4,
        says="the batch system gave the slot to another job",
        advice="Nothing to mend: a more important job took the slot. Send long jobs to queues without "
        "preemption.",
        sample="slurmstepd: error: *** JOB 4711 ON node7 CANCELLED AT 2026-11-02T10:00:00 DUE TO "
        "PREEMPTION ***",
        counter_sample="preemption: off",
    ),
    Rule(
        name="batch.node_failure",
        error="KILLSIGNAL",
        where=Where.LOGS,
        when=r"CANCELLED AT \S+ DUE TO NODE FAILURE|srun: error: Node failure "
        r"on|TERM_(?:ADMIN|UNKNOWN|ZOMBI)",
        is_pattern=True,
        specificity=Specificity.CERTAIN + 4,
        blame=Blame.NODE,
        says="the batch system ended the payload since a node of it failed",
        advice="Ask the site about the node that the evidence names.",
        sample="slurmstepd: error: *** STEP 4711.0 ON node7 CANCELLED AT 2026-11-02T10:00:00 DUE TO NODE "
        "FAILURE, SEE "
        "SLURMCTLD LOG FOR DETAILS ***",
        counter_sample="srun: node7 ready",
    ),
    Rule(
        name="batch.cancelled",
        error="KILLSIGNAL",
        where=Where.LOGS,
        when=r"\*\*\* (?:JOB|STEP) \S+ ON \S+ CANCELLED AT \S+ \*\*\*|TERM_OWNER|job killed by "
        r"(?:user|operator)|"
        r"=>> PBS: job killed: deleted",
        is_pattern=True,
        specificity=Specificity.CERTAIN + 3,
        says="somebody ended the job in the batch system",
        advice="Ask the site who cancelled it: its batch system's log knows.",
        sample="slurmstepd: error: *** JOB 4711 ON node7 CANCELLED AT 2026-11-02T10:00:00 ***",
        counter_sample="JOB 4711 ON node7 STARTED AT 2026-11-02T10:00:00",
    ),
    Rule(
        name="batch.disk_limit",
        error="USERDIRTOOLARGE",
        where=Where.LOGS,
        when=r"Disk quota .*RequestDisk|exceeded (?:its )?(?:ephemeral|local) (?:local )?(?:ephemeral "
        r")?storage|TERM_SWAP|"
        r"file usage \(\d+\S*\) exceeded|ephemeral local storage usage exceeds",
        is_pattern=True,
        specificity=Specificity.CERTAIN + 4,
        says="the batch system ended the payload for using more disk than the slot has",
        advice="Write less into the working directory, or ask for more disk for the task.",
        sample="Pod ephemeral local storage usage exceeds the total limit of containers 20Gi.",
        counter_sample="disk usage: 2 GB of 20 GB",
    ),
)
