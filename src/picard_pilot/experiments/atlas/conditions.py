"""Rules for conditions data as Athena reads them: Frontier, COOL and CORAL, SQLite files, geometry.

What any program says of a database is the core's.
"""

from picard_pilot.experiments.atlas.seen import told
from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity

_SQUID = "Check the site's squid and FRONTIER_SERVER on the node; another site may work."

RULES: tuple[Rule, ...] = (
    *told(
        name="conditions.frontier",
        error="FRONTIER",
        pattern=r"[Cc]annot find a valid frontier connection(?P<words>.{0,100})",
        specificity=Specificity.CERTAIN + 1,
        blame=Blame.NETWORK,
        retry=Retry.ELSEWHERE,
        says="Athena found no Frontier server through which it could read conditions data",
        advice=_SQUID,
        sample="DBReplicaSvc ERROR Cannot find a valid frontier connection for COOLOFL_INDET",
        counter_sample="DBReplicaSvc INFO Using frontier connection frontier://ATLF/()",
    ),
    *told(
        name="conditions.coral",
        error="FRONTIER",
        pattern=r"CORAL/\S+ +(?:Error|ERROR|Fatal|FATAL) .*(?:[Cc]onnection|[Tt]imeout|not (?:be )?(?:reach|establish))"
        r"|(?:IOVDbSvc|IOVDbConn) +(?:FATAL|ERROR) .*"
        r"(?:could not connect|[Cc]annot connect|connection.{0,80}(?:lost|failed))",
        specificity=Specificity.CAUSE + 7,
        blame=Blame.NETWORK,
        retry=Retry.ELSEWHERE,
        says="Athena could not connect to the conditions database",
        advice=_SQUID,
        sample="IOVDbConn FATAL could not connect to database COOLOFL_TRT/CONDBR2",
        counter_sample="IOVDbConn INFO connected to database COOLOFL_TRT/CONDBR2",
    ),
    *told(
        name="conditions.missing",
        error="UNKNOWNTRFFAILURE",
        pattern=r"(?:IOVDbFolder|IOVDbSvc|CondInputLoader|IOVSvc\S*) +(?:FATAL|ERROR) .*"
        r"(?:no (?:data|IOVs?|valid|conditions)|not found|[Uu]nable to find|can'?t find|does not exist)",
        specificity=Specificity.FAILURE + 6,
        blame=Blame.EXPERIMENT,
        retry=Retry.NEVER,
        says="conditions data that the job needs are not in the database under its tag",
        advice="Check the task's conditions tag (globaltag) against the run numbers of its input.",
        sample="IOVDbSvc FATAL IOVs: no data found for folder /TRT/Calib/RT in tag CONDBR2-BLKPA-2024-01",
        counter_sample="IOVDbSvc INFO 12 data found for folder /TRT/Calib/RT",
    ),
    *told(
        name="conditions.sqlite_on_nfs",
        error="NFSSQLITE",
        pattern=r"prepare 5 database is locked|Error SQLiteStatement",
        specificity=Specificity.CAUSE + 7,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="an SQLite file of conditions was locked, as happens on NFS",
        advice="Put the job's directory on a local disk, or mount the file system with working locks.",
        sample="CORAL/RelationalPlugins/sqlite Error SQLiteStatement::prepare 5 database is locked",
        counter_sample="CORAL/RelationalPlugins/sqlite Info statement prepared",
    ),
    *told(
        name="conditions.sqlite_missing",
        error="DBRELEASEFAILURE",
        pattern=r"\b(?:sqlite|SQLite)\b.{0,120}(?:unable to open database file|no such table)|"
        r"\b(?:PoolFileCatalog|DBRelease)[\w./-]{0,60} .{0,60}(?:not found|does not exist)",
        specificity=Specificity.CAUSE + 6,
        blame=Blame.EXPERIMENT,
        retry=Retry.ELSEWHERE,
        says="a database file of the release could not be opened",
        advice="Check that the DBRelease that the job names is on CVMFS and whole.",
        sample="CORAL/RelationalPlugins/sqlite Error unable to open database file",
        counter_sample="CORAL/RelationalPlugins/sqlite Info opened the database file",
    ),
    *told(
        name="conditions.geometry",
        error="UNKNOWNTRFFAILURE",
        pattern=r"(?:GeoModelSvc|RDBAccessSvc|GeometryDBSvc)\S* +(?:FATAL|ERROR) ",
        specificity=Specificity.FAILURE + 5,
        blame=Blame.EXPERIMENT,
        retry=Retry.NEVER,
        says="the detector's geometry could not be built",
        advice="Check the task's geometry tag against the release.",
        sample="GeoModelSvc FATAL Unable to get the tag ATLAS-R3S-2099-01-00-00",
        counter_sample="GeoModelSvc INFO Building ATLAS geometry",
    ),
)
