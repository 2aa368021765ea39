"""Rules for the set-up of a release: asetup, AtlasLocalRootBase, and transforms that are not there.

What a transform says once it runs is in `transforms`; a dead CVMFS, which is behind many of these, is the core's.
"""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

RULES: tuple[Rule, ...] = (
    Rule(
        name="atlas.no_setup_script",
        error="MISSINGINSTALLATION",
        where=Where.OUTPUT,
        when=r"(?:^|[\s'\"‘])(?P<script>[^\s:'\"‘’]{0,300}setup\.sh|[^\s:'\"‘’]{0,300}atlasLocalSetup\.sh)['\"’]?: "
        r"No such file or directory",
        is_pattern=True,
        specificity=Specificity.CAUSE + 3,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="the script that sets the release up is not on the node: {script}",
        advice="Check CVMFS on the node (`cvmfs_config probe atlas.cern.ch`), or the site's own installation.",
        sample="sh: line 1: /cvmfs/atlas.cern.ch/repo/sw/software/21.0/cmtsite/asetup.sh: No such file or directory",
        counter_sample="sourcing /cvmfs/atlas.cern.ch/repo/sw/software/21.0/cmtsite/asetup.sh",
    ),
    Rule(
        name="atlas.no_release",
        error="NORELEASEFOUND",
        where=Where.OUTPUT,
        when="No release candidates found",
        specificity=Specificity.CAUSE + 4,
        blame=Blame.USER_INPUT,
        retry=Retry.NEVER,
        says="asetup knows no release like the one that the job names",
        advice="Check project, release and platform of the task; asetup offers what is installed under them.",
        sample="AtlasSetup(ERROR): No release candidates found for Athena,24.0.999 on x86_64-el9-gcc13-opt",
        counter_sample="AtlasSetup: 3 release candidates found",
    ),
    Rule(
        name="atlas.asetup_fatal",
        error="SETUPFATAL",
        where=Where.OUTPUT,
        when=r"AtlasSetup\(FATAL\): (?P<words>.+)",
        is_pattern=True,
        specificity=Specificity.FAILURE + 6,
        says="asetup broke: {words}",
        advice="Look at the lines above it; a node whose CVMFS answers slowly or not at all shows itself so.",
        sample="AtlasSetup(FATAL): Fatal exception: unable to read the release database",
        counter_sample="AtlasSetup(INFO): nothing fatal",
    ),
    Rule(
        name="atlas.asetup_error",
        error="SETUPFAILURE",
        where=Where.OUTPUT,
        when=r"AtlasSetup\(ERROR\): (?P<words>.+)",
        is_pattern=True,
        specificity=Specificity.FAILURE + 5,
        says="asetup failed: {words}",
        advice="Try the task's asetup arguments by hand on a machine with CVMFS.",
        sample="AtlasSetup(ERROR): Unable to determine the compiler for this platform",
        counter_sample="AtlasSetup(WARNING): using the default compiler",
    ),
    Rule(
        name="atlas.lsetup",
        error="SETUPFAILURE",
        where=Where.OUTPUT,
        when=r"Error: (?:Unable to set up|no such version|Unable to find version) (?P<tool>\S+)|"
        r"lsetup: (?P<words>.*(?:failed|does not exist).*)",
        is_pattern=True,
        specificity=Specificity.FAILURE + 5,
        says="lsetup could not set a tool up",
        advice="Check the tool's name and version in the job's set-up; `showVersions` lists what there is.",
        sample="lsetup: views LCG_999 x86_64-el9-gcc13-opt does not exist",
        counter_sample="lsetup: rucio is set up",
    ),
    Rule(
        name="atlas.old_platform",
        error="UNSUPPORTEDSL5OS",
        where=Where.OUTPUT,
        when=r"(?:[Uu]nsupported|no longer supported|not supported).*(?:slc5|SL5)|"
        r"(?:slc5|SL5)\S* .*(?:not|no longer) supported",
        is_pattern=True,
        specificity=Specificity.CAUSE + 4,
        says="the job asks for a platform as old as SL5, which no node has any more",
        advice="Run it in a container with that system, or move the task to a newer release.",
        sample="AtlasSetup(ERROR): platform x86_64-slc5-gcc43-opt is not supported on this machine",
        counter_sample="platform x86_64-el9-gcc13-opt is supported; was slc5 once",
    ),
    Rule(
        name="atlas.no_transform",
        error="TRANSFORMNOTFOUND",
        where=Where.OUTPUT,
        when=r"\b(?P<transform>\w{1,60}_(?:tf|trf)\.py): (?:command )?not found|"
        r"can't open file '?\S{0,300}?(?P<file>\w{1,60}_(?:tf|trf)\.py)'?: \[Errno 2\]|"
        r"\b(?P<path>\w{1,60}_(?:tf|trf)\.py)'?: No such file or directory",
        is_pattern=True,
        specificity=Specificity.CAUSE + 3,
        says="the transform that the job names is not in the release",
        advice="Check the transform's name against the release, and that the set-up before it went well.",
        sample="/bin/bash: line 5: Reco_tf.py: command not found",
        counter_sample="Reco_tf.py: found in /cvmfs/atlas.cern.ch",
    ),
)
