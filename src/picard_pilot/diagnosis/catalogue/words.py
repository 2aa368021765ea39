"""The catalogue's short words as sentences: who has to act, whether a retry helps, what a reader without advice is told."""

from picard_pilot.diagnosis.catalogue.row import Code, Reader
from picard_pilot.diagnosis.catalogue.transfers import Finer
from picard_pilot.model.fault import Blame, Retry

ACTOR: dict[Blame, str] = {
    Blame.PAYLOAD: "the program's author",
    Blame.USER_INPUT: "whoever wrote the job's description",
    Blame.EXPERIMENT: "the experiment's software team",
    Blame.NODE: "the site, for its worker node",
    Blame.STORAGE: "the storage's site",
    Blame.NETWORK: "the site, for its network",
    Blame.BATCH: "the site, for its batch system",
    Blame.SERVER: "whoever runs the PanDA server",
    Blame.PILOT: "whoever runs the pilot, or its authors",
    Blame.USER: "whoever asked for it",
}

RETRY: dict[Retry, str] = {
    Retry.NEVER: "a retry does not help",
    Retry.HERE: "a retry at the same place can help",
    Retry.ELSEWHERE: "a retry elsewhere can help",
}

READERS: dict[Reader, str] = {
    Reader.USER: "users",
    Reader.SHIFT: "shifters",
    Reader.SITE: "sites",
}


def advice(row: Code | Finer, reader: Reader, blame: Blame) -> str:
    """What this reader can do, or that he need not do anything and who must."""
    return row.advice(reader) or f"Nothing to do: {ACTOR[blame]} has to act."
