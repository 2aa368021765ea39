"""Making a fault from a row of the catalogue and its evidence.

Which row fits is decided where the evidence is found, or by a rule.
"""

from picard_pilot.diagnosis.catalogue.codes import BY_NAME
from picard_pilot.model.fault import Evidence, Fault


def fault(
    name: str,
    says: str,
    *,
    rule: str,
    evidence: tuple[Evidence | str, ...] = (),
    phase: str | None = None,
) -> Fault:
    """The catalogue's error `name` with its sentence `says` and what it rests on.

    `rule` names the code or rule that came to this verdict. Raises KeyError for a name that is not in the catalogue.
    """
    row = BY_NAME[name]
    return Fault(
        code=row.number,
        name=row.name,
        says=says,
        rule=rule,
        blame=row.blame,
        retry=row.retry,
        next_step=row.next_step,
        phase=phase,
        evidence=tuple(item if isinstance(item, Evidence) else Evidence(text=item) for item in evidence),
    )
