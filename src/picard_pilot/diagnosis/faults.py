"""Making a fault from a row of the catalogue and its evidence.

Which row fits is decided where the evidence is found, or by a rule.
"""

from typing import TYPE_CHECKING

from picard_pilot.model.fault import Evidence, Fault

if TYPE_CHECKING:
    from picard_pilot.diagnosis.catalogue.row import Code


def fault(
    name: str,
    says: str,
    *,
    rule: str,
    evidence: tuple[Evidence | str, ...] = (),
    phase: str | None = None,
    finer: str | None = None,
    endpoint: str | None = None,
) -> Fault:
    """The catalogue's error `name` with its sentence `says` and what it rests on.

    `rule` names the code or rule that came to this verdict. `finer` is phase and class of a failed transfer (a key of
    `catalogue.transfers`), `endpoint` the storage that failed. Raises KeyError for a name that is not in the catalogue.
    """
    # Pilots load the catalogue with their first job: those that find none start the faster.
    from picard_pilot.diagnosis.catalogue.codes import BY_NAME, causes_of

    row = BY_NAME[name]
    return Fault(
        code=row.number,
        name=row.name,
        says=says,
        rule=rule,
        blame=row.blame,
        retry=row.retry,
        next_step=row.next_step if finer is None else _exact(row, finer),
        phase=phase,
        evidence=tuple(item if isinstance(item, Evidence) else Evidence(text=item) for item in evidence),
        # Not those that nobody finds: each fault is written to the journal.
        symptom_of=tuple(cause for cause in causes_of(name) if BY_NAME[cause].reserved is None),
        finer=finer,
        endpoint=endpoint,
    )


def _exact(row: "Code", finer: str) -> str:
    """The next step of a failed transfer."""
    from picard_pilot.diagnosis.catalogue.transfers import next_step

    return next_step(row, finer)
