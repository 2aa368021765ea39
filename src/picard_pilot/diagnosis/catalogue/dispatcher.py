"""The errors with which the server's dispatcher ends jobs whose pilot says nothing any more. Their numbers are the
server's own (`dispatcher:100` in monitors) and no pilot's: those are in `codes`."""

from picard_pilot.diagnosis.catalogue.codes import BY_NUMBER
from picard_pilot.diagnosis.catalogue.row import Category, Code, Component
from picard_pilot.model.fault import Blame, Retry

DISPATCHER = "dispatcher"
"""The component that monitors write before the number."""

_SINCE = "the PanDA server of pilot 1"

DISPATCHER_ROWS: tuple[Code, ...] = (
    Code(
        number=100,
        name="LOSTHEARTBEAT",
        component=Component.SLOT,
        category=Category.KILLED,
        blame=Blame.BATCH,
        retry=Retry.ELSEWHERE,
        since=_SINCE,
        summary="The job's pilot was not heard of for so long that the server gave the job up",
        causes=(
            "the batch system ended the slot, and the pilot had no time to say so",
            "the node crashed, hung or lost its network",
            "the pilot could not reach the server for hours",
        ),
        user="Nothing is wrong with the job as far as anybody knows: the server may try it again.",
        shift="See at `ppilot job list --node` whether many jobs were lost on one node or in one queue, and tell the site.",
        site="Look up the slot in the batch system's log by the batch id that `ppilot job describe` shows: why and when it ended.",
    ),
    Code(
        number=101,
        name="RECOVERYFAILED",
        component=Component.STAGEOUT,
        category=Category.FILES,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        since=_SINCE,
        summary="The job's outputs waited on its node, and no later pilot stored them in time",
        causes=(
            "no further pilot came to that node or shared directory",
            "the storage stayed out of reach for as long as the server waits",
            "the node's disk was cleaned",
        ),
        user="The server may try the job again; what it had made is lost unless the site finds it.",
        shift="Read the pilot's error beside this one: it says why the outputs could not be stored at once.",
        site="`ppilot recover list` on the node shows jobs that pilots left there, `ppilot recover run` stores them.",
    ),
    Code(
        number=102,
        name="NEVERSTARTED",
        component=Component.SLOT,
        category=Category.KILLED,
        blame=Blame.BATCH,
        retry=Retry.HERE,
        since=_SINCE,
        summary="The job was given to a pilot that was never heard of again",
        causes=("the answer with the job was lost on its way", "the slot ended just then"),
        shift="One is bad luck; many at one site mean that its pilots or its network to the server are in trouble.",
        site="Look up the slot in the batch system's log, and the connection from the node to the server.",
    ),
    Code(
        number=103,
        name="HOLDINGTIMEOUT",
        component=Component.STAGEOUT,
        category=Category.FILES,
        blame=Blame.STORAGE,
        retry=Retry.ELSEWHERE,
        since=_SINCE,
        summary="The job ended, but its last step on the server's side was not over in time",
        causes=("outputs were not confirmed at their destination", "the pilot's final report never came"),
        user="The server may try the job again.",
        shift="Look at the job's files for the one that is not stored, and at the storage that should have it.",
        site="Check the storage that the job's page names for transfers that hang.",
    ),
)

BY_DISPATCHER: dict[int, Code] = {row.number: row for row in DISPATCHER_ROWS}


def row_of(component: str, code: int) -> Code | None:
    """The row of an error by the component that tells it; None where the catalogue has none."""
    if component == DISPATCHER:
        return BY_DISPATCHER.get(code)
    return BY_NUMBER.get(code) if component == "pilot" else None


def handle(row: Code) -> str:
    """How people and addresses name an error: its number, with the component before it where it is not a pilot's."""
    return f"{DISPATCHER}:{row.number}" if BY_DISPATCHER.get(row.number) is row else str(row.number)
