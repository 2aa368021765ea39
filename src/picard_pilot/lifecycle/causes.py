"""The order of a job's faults: causes before their symptoms, else as they were found.

Which error is a symptom of which others stands in the catalogue, and from there in each fault.
"""

from collections.abc import Sequence

from picard_pilot.model.fault import Fault


def causes_first(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """All of `faults`; one that names another of them in `symptom_of` stands behind it.

    The first is what the server is told; nothing is dropped. Errors that call each other symptoms stay as found.
    """
    left = list(faults)
    ordered: list[Fault] = []
    while left:
        cause = next((one for one in left if not _follows(one, left)), left[0])
        left.remove(cause)
        ordered.append(cause)
    return tuple(ordered)


def _follows(fault: Fault, others: Sequence[Fault]) -> bool:
    """Whether it is a symptom of one of the others."""
    return any(other.name in fault.symptom_of for other in others if other.name != fault.name)
