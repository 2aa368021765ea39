"""Exit codes of a pilot that an error stops, as batch wrapper and Harvester read them, by the error's name.

They stand apart from the rows, since each pilot needs them at its end and the rows only where something failed. An
error without one is told as GENERALERROR; 1 and 2 are never used: Harvester takes them for faults of the wrapper.
"""

from typing import Final

OK: Final = 0

EXITS: Final[dict[str, int]] = {
    "CVMFSISNOTALIVE": 64,
    "GENERALERROR": 65,
    "MKDIR": 66,
    "NOSUCHFILE": 67,
    "NOPROXY": 68,
    "NOVOMSPROXY": 68,
    "CERTIFICATEHASEXPIRED": 68,
    "NOLOCALSPACE": 69,
    "UNKNOWNEXCEPTION": 70,
    "QUEUEDATA": 71,
    "QUEUEDATANOTOK": 72,
    "NOSOFTWAREDIR": 73,
    "JSONRETRIEVALTIMEOUT": 74,
    "BLACKHOLE": 75,
    "MIDDLEWAREIMPORTFAILURE": 76,
    "MISSINGINPUTFILE": 77,
    "PANDAQUEUENOTACTIVE": 78,
    "COMMUNICATIONFAILURE": 79,
    "PROXYTOOSHORT": 80,
    "REACHEDMAXTIME": 81,
    "NOJOBSINPANDA": 82,
    "PANDAQUEUENOTONLINE": 83,
    "SIGINT": 130,
    "SIGQUIT": 131,
    "SIGBUS": 135,
    "KILLSIGNAL": 137,
    "SIGUSR1": 138,
    "SIGSEGV": 139,
    "SIGTERM": 143,
    "SIGXCPU": 152,
}
"""One code has one meaning; 68 is any credential that does not do."""
