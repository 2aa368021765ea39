"""Rules for databases that payloads ask: Frontier, SQLite files, servers of conditions data."""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

RULES: tuple[Rule, ...] = (
    Rule(
        name="database.frontier",
        error="FRONTIER",
        where=Where.LOGS,
        when=r"[Ff]rontier.*(?:[Nn]o more (?:proxies|servers)|Request \d+ on chan(?:nel)? \d+ "
        r"failed|[Ss]erver error|"
        r"[Cc]an ?not (?:connect|get data)|getData.*fail|error getting data|Temporary failure)",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.NETWORK,
        retry=Retry.ELSEWHERE,
        says="conditions data could not be read through Frontier",
        advice="Check the site's squid and the Frontier servers in FRONTIER_SERVER; another site may work.",
        sample="Error frontier: No more servers/proxies. Last error was: Request 12 on chan 1 failed at Mon",
        counter_sample="info frontier: server x, proxy y, 12 requests done",
    ),
    Rule(
        name="database.sqlite_locked",
        error="NFSSQLITE",
        where=Where.LOGS,
        when=r"database is locked|SQLITE_BUSY|SQLITE_PROTOCOL|sqlite.*locking protocol",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="an SQLite file was locked, as happens on network file systems",
        advice="Copy the file into the job's directory before it is used, or put that directory on a local "
        "disk.",
        sample="sqlite3.OperationalError: database is locked",
        counter_sample="sqlite3: database opened",
    ),
    Rule(
        name="database.sqlite_damaged",
        error="DBRELEASEFAILURE",
        where=Where.LOGS,
        when=r"database disk image is malformed|file is not a database|file is encrypted or is not a "
        r"database",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="an SQLite file is damaged or cut",
        advice="Check the file's size and checksum against its original; fetch it again.",
        sample="sqlite3.DatabaseError: database disk image is malformed",
        counter_sample="sqlite3: integrity check ok",
    ),
    Rule(
        name="database.oracle",
        error="SERVICENOTAVAILABLE",
        where=Where.LOGS,
        when=r"\bORA-(?:12\d{3}|03113|03114|01033|01034|00020|00018|02391)\b",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.SERVER,
        retry=Retry.ELSEWHERE,
        says="an Oracle database was not available to the payload",
        advice="Ask the database's keepers; jobs on the grid should read through Frontier or a local file.",
        sample="ORA-12541: TNS:no listener",
        counter_sample="ORA-00000: normal, successful completion",
    ),
    Rule(
        name="database.server",
        error="SERVICENOTAVAILABLE",
        where=Where.LOGS,
        when=r"OperationalError: \(2003, |could not connect to server: |psycopg2\.OperationalError: "
        r"connection to server|"
        r"Can't connect to (?:local )?MySQL server",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.SERVER,
        retry=Retry.ELSEWHERE,
        says="a database server could not be reached by the payload",
        advice="Check that the server runs and that nodes of this site may reach it.",
        sample='psycopg2.OperationalError: connection to server at "db.example.org", port 5432 failed: '
        "timeout",
        counter_sample="connected to server db.example.org",
    ),
)
