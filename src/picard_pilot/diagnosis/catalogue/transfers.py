"""Failed transfers more finely than by number: one row for each phase and class of failure, as `stagein/contact`.

A number says that an input could not be had; the class says what went wrong on the way. Which class a failure has is
judged where it happens (`movers`), and its number in `data.verdicts`.
"""

from typing import NamedTuple

from picard_pilot.diagnosis.catalogue.row import ACTS, Code, Reader
from picard_pilot.model.fault import Blame
from picard_pilot.model.states import Phase
from picard_pilot.model.transfer import FailureClass


class Finer(NamedTuple):
    """One class of failed transfers. `told_as` are the errors under which the server hears of it, the usual one first.

    Advice and `reserved` are as those of an error: empty where its reader has nothing to do, and why there is none.
    """

    phase: Phase
    kind: FailureClass
    told_as: tuple[str, ...]
    summary: str
    causes: tuple[str, ...]
    user: str = ""
    shift: str = ""
    site: str = ""
    reserved: str | None = None

    @property
    def key(self) -> str:
        """By which it is known: `stagein/contact`."""
        return key(self.phase, self.kind)

    def advice(self, reader: Reader) -> str:
        """What this reader can do; empty where it is nothing."""
        match reader:
            case Reader.USER:
                return self.user
            case Reader.SHIFT:
                return self.shift
            case Reader.SITE:
                return self.site


def key(phase: Phase, kind: FailureClass) -> str:
    """The name of a class of failed transfers in one of the two phases."""
    return f"{phase}/{kind}"


_CREDENTIAL = "CERTIFICATEHASEXPIRED"
_NODE_FILE = "FILEHANDLINGFAILURE"
_NO_SOFTWARE = "MIDDLEWAREIMPORTFAILURE"

ROWS: tuple[Finer, ...] = (
    Finer(
        Phase.STAGEIN,
        FailureClass.RESOLVE,
        ("STAGEINFAILED",),
        "The address of an input leads nowhere: its host has no address, or the catalogue no answer",
        (
            "the storage's name was changed or is misspelt in its description",
            "the node's name service (DNS) does not work",
        ),
        shift="Compare the endpoint's host name with its description; one site with many endpoints has no name service.",
        site="Look the host in the evidence up from the node: `getent hosts NAME`.",
    ),
    Finer(
        Phase.STAGEIN,
        FailureClass.CONTACT,
        ("STAGEINFAILED",),
        "The storage that has an input does not answer, or says that it is too busy",
        (
            "the storage is down or overloaded",
            "a firewall is in between",
            "its certificate is not trusted by the node",
        ),
        shift="Is the endpoint in downtime? Then exclude it for reading; if only one site cannot reach it, ask that site.",
        site="Connect from a node to the host and port in the evidence; look at the load of the storage's door.",
    ),
    Finer(
        Phase.STAGEIN,
        FailureClass.AUTH,
        ("STAGEINAUTHENTICATIONFAILURE", _CREDENTIAL, _NODE_FILE),
        "Reading an input is not permitted: the credential does not suffice, has run out, or is none",
        (
            "the token lacks the scope storage.read for the path",
            "the proxy has no or another VOMS role",
            "it has expired",
        ),
        user="If the input is protected, ask its owner whether your experiment's pilots may read it.",
        shift="All endpoints at once: the credential with which pilots are sent. One endpoint: its site.",
        site="Look up in the storage's log why it refused the path in the evidence.",
    ),
    Finer(
        Phase.STAGEIN,
        FailureClass.SPECIFICATION,
        ("STAGEINFAILED", _NO_SOFTWARE),
        "The storage or the mover cannot serve the request as it was made",
        (
            "the address has a scheme or a path that the door does not know",
            "the queue names a mover that does not fit",
        ),
        shift="Compare the endpoint's protocols and paths with what the storage offers.",
        site="Try the address in the evidence with the storage's own client.",
    ),
    Finer(
        Phase.STAGEIN,
        FailureClass.MISSING,
        ("MISSINGINPUTFILE", _NODE_FILE),
        "The storage answers that it does not have the input",
        (
            "the replica was lost or deleted and is still in the catalogue",
            "the path rule of the endpoint is wrong",
        ),
        user="Check the input's name and scope.",
        shift="Declare the replica lost; many at one endpoint mean a lost disk or a wrong path rule.",
        site="Check whether the pool that holds the file is offline.",
    ),
    Finer(
        Phase.STAGEIN,
        FailureClass.SPACE,
        ("NOLOCALSPACE", "STAGEINFAILED"),
        "There was no room for an input on the node's disk",
        (
            "other jobs on the same disk use more than they asked for",
            "the input is larger than its description says",
        ),
        user="Give each job fewer or smaller inputs, or let it read them where they are.",
        site="Free disk space on the node; compare maxwdir times the slots with the disk's size.",
    ),
    Finer(
        Phase.STAGEIN,
        FailureClass.TRANSFER,
        ("STAGEINFAILED",),
        "The transfer of an input began and broke off",
        (
            "the storage or a router in between restarted",
            "the disk server is broken",
            "the network loses packets",
        ),
        shift="Group by endpoint and by site: what they have in common is broken.",
        site="Look at the disk server in the evidence, and at packet loss and MTU between it and the node.",
    ),
    Finer(
        Phase.STAGEIN,
        FailureClass.CHECKSUM,
        ("GETADMISMATCH", "GETMD5MISMATCH", "STAGEINFAILED"),
        "Other bytes arrived than the catalogue describes: size or checksum differ",
        ("the replica is damaged or cut", "it was registered with wrong values", "bytes change on the way"),
        user="If it fails at all sites, have the file declared lost, or leave it out.",
        shift="Declare the replica bad; if all replicas agree among themselves, the catalogue is wrong.",
        site="Measure size and checksum on the storage; if they are right there, suspect node memory or network.",
    ),
    Finer(
        Phase.STAGEIN,
        FailureClass.REGISTER,
        ("STAGEINFAILED",),
        "A catalogue did not take a note about an input",
        ("the catalogue is down or refuses the pilot's account",),
        shift="Check the catalogue that the evidence names.",
        site="Nothing to mend on the storage: ask who runs the catalogue.",
        reserved="nothing is registered while inputs are brought",
    ),
    Finer(
        Phase.STAGEIN,
        FailureClass.TIMEOUT,
        ("STAGEINTIMEOUT",),
        "The transfer of an input ran out of time, or no byte came for too long",
        ("the storage is frozen or overloaded", "the file is on tape", "the way is too slow for its size"),
        user="If the input is on tape, wait until it is staged.",
        shift="Group by endpoint; if it is one, tell its site and exclude it for a while.",
        site="See what the storage does with the request: a queue, a tape, a disk server that hangs.",
    ),
    Finer(
        Phase.STAGEOUT,
        FailureClass.RESOLVE,
        ("STAGEOUTFAILED",),
        "The address for an output leads nowhere: its host has no address",
        (
            "the storage's name was changed or is misspelt in its description",
            "the node's name service (DNS) does not work",
        ),
        shift="Compare the endpoint's host name with its description; one site with many endpoints has no name service.",
        site="Look the host in the evidence up from the node: `getent hosts NAME`.",
    ),
    Finer(
        Phase.STAGEOUT,
        FailureClass.CONTACT,
        ("STAGEOUTFAILED",),
        "The storage for an output does not answer, or says that it is too busy",
        (
            "the storage is down or overloaded",
            "a firewall is in between",
            "its certificate is not trusted by the node",
        ),
        user="Long jobs can keep their outputs for a later pilot (--useJobRecovery).",
        shift="Is the endpoint in downtime? Then exclude it for writing, or set an alternative endpoint.",
        site="Connect from a node to the host and port in the evidence; look at the load of the storage's door.",
    ),
    Finer(
        Phase.STAGEOUT,
        FailureClass.AUTH,
        ("STAGEOUTAUTHENTICATIONFAILURE", _CREDENTIAL, _NODE_FILE),
        "Storing an output is not permitted: the credential does not suffice, has run out, or is none",
        (
            "the token lacks the scope storage.create or storage.modify for the path",
            "the endpoint is read-only",
        ),
        user="If the output goes to your own or your group's endpoint, check that you may write there.",
        shift="All endpoints at once: the credential with which pilots are sent. One endpoint: its site.",
        site="Look up in the storage's log why it refused the path in the evidence.",
    ),
    Finer(
        Phase.STAGEOUT,
        FailureClass.SPECIFICATION,
        ("STAGEOUTFAILED", "FILEEXISTS", _NO_SOFTWARE),
        "The storage or the mover cannot serve the request, or another file stands at the target",
        (
            "an earlier attempt stored the output already",
            "the address has a scheme or a path that the door does not know",
        ),
        user="Let the names of the job's outputs hold the job's or the attempt's number.",
        shift="Another file at the target: find out which job wrote it. Else compare the endpoint's protocols and paths.",
        site="Try to write to the address in the evidence with the storage's own client.",
    ),
    Finer(
        Phase.STAGEOUT,
        FailureClass.MISSING,
        ("STAGEOUTFAILED", "MISSINGOUTPUTFILE"),
        "The target's directory is not there and cannot be made; or the output vanished from the node",
        ("the endpoint's path in its description is wrong", "the payload left a process that removes files"),
        shift="Compare the endpoint's prefix with the storage's real paths.",
        site="Check that the base directory in the evidence exists on the storage and may be written to.",
    ),
    Finer(
        Phase.STAGEOUT,
        FailureClass.SPACE,
        ("NOREMOTESPACE", "NOLOCALSPACE"),
        "There is no room for an output on the storage",
        ("the endpoint's quota or space token is used up",),
        user="If it is your own or your group's endpoint: remove what is no longer needed.",
        shift="Ask data management to free the endpoint, and send outputs elsewhere until then.",
        site="Free space on the storage endpoint.",
    ),
    Finer(
        Phase.STAGEOUT,
        FailureClass.TRANSFER,
        ("STAGEOUTFAILED",),
        "The transfer of an output began and broke off",
        (
            "the storage or a router in between restarted",
            "the disk server is broken",
            "the network loses packets",
        ),
        shift="Group by endpoint and by site: what they have in common is broken.",
        site="Look at the disk server in the evidence, and at packet loss and MTU between the node and it.",
    ),
    Finer(
        Phase.STAGEOUT,
        FailureClass.CHECKSUM,
        ("PUTADMISMATCH", "PUTMD5MISMATCH"),
        "The storage has other bytes than the node: size or checksum differ; what it has was removed again",
        (
            "bytes change on the way or on the disk server",
            "the payload still wrote while the file was stored",
        ),
        user="If it happens at several sites, check that the program leaves no child that writes on.",
        site="Check the disk server that took the file, and the node's memory.",
    ),
    Finer(
        Phase.STAGEOUT,
        FailureClass.REGISTER,
        ("STAGEOUTFAILED",),
        "An output is stored, but the catalogue did not take it",
        (
            "the catalogue is down",
            "the pilot's account may not write the scope",
            "the name is registered already",
        ),
        user="Check that the output's scope is yours or your group's.",
        shift="Check the catalogue (Rucio): its state, and the rights of the pilots' account.",
        site="Nothing to mend on the storage: the file is there.",
    ),
    Finer(
        Phase.STAGEOUT,
        FailureClass.TIMEOUT,
        ("STAGEOUTTIMEOUT",),
        "The transfer of an output ran out of time, or no byte went for too long",
        ("the storage is frozen or overloaded", "the way is too slow for its size"),
        user="Long jobs can keep their outputs for a later pilot (--useJobRecovery).",
        shift="Group by endpoint; if it is one, tell its site.",
        site="See what the storage does with the request: a queue, a disk server that hangs.",
    ),
)

BY_KEY: dict[str, Finer] = {row.key: row for row in ROWS}

GENERAL = ("STAGEINFAILED", "STAGEOUTFAILED")
"""Errors of which the class says more than the name."""


def next_step(row: Code, finer: str | None, blame: Blame | None = None) -> str:
    """The advice for whoever has to act on an error with this class (None: it has none), the more exact of both.

    `blame` is who that is in this case; None: as a rule.
    """
    reader = row.acts if blame is None else ACTS[blame]
    one = BY_KEY.get(finer or "")
    exact = one.advice(reader) if one and row.name in GENERAL else ""
    return exact or row.advice(reader) or row.next_step
