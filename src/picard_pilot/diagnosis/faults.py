"""Making a fault from a row of the catalogue and its evidence.

Which row fits is decided where the evidence is found, or by a rule.
"""

from picard_pilot.model.fault import Evidence, Fault


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
    # The catalogue is loaded when something has failed: most pilots never need it.
    from picard_pilot.diagnosis.catalogue.codes import BY_NAME, causes_of
    from picard_pilot.diagnosis.catalogue.transfers import next_step

    row = BY_NAME[name]
    return Fault(
        code=row.number,
        name=row.name,
        says=says,
        rule=rule,
        blame=row.blame,
        retry=row.retry,
        next_step=next_step(row, finer),
        phase=phase,
        evidence=tuple(item if isinstance(item, Evidence) else Evidence(text=item) for item in evidence),
        # Not those that nobody finds: each fault is written to the journal.
        symptom_of=tuple(cause for cause in causes_of(name) if BY_NAME[cause].reserved is None),
        finer=finer,
        endpoint=endpoint,
    )
