"""How a payload's processes can be held together on this node, for killing and measuring: the rungs, best first.

The rungs are climbed by others: `system.cgroup`, the ways to confine, and the payload's launcher.
"""

from collections.abc import Sequence

from picard_pilot.model.isolation import Guarantee, Ladder, Probed, Rung
from picard_pilot.system.cgroup import NoPlace, Place, find_place
from picard_pilot.system.shim.child import PR_SET_CHILD_SUBREAPER, prctl


def look(probed: Sequence[Probed]) -> Ladder:
    """What this node has, with the reason for each rung that is missing. Cheap; called once, at the pilot's start."""
    return ladder(find_place(), probed, can_reap())


def ladder(place: Place | NoPlace, probed: Sequence[Probed], subreaper: bool) -> Ladder:
    """The rungs: a process group there always is."""
    missing: dict[Rung, str] = {}
    if isinstance(place, NoPlace):
        missing[Rung.CGROUP] = place.says
    elif not (place.own / "cgroup.kill").exists() and not (place.path / "cgroup.kill").exists():
        missing[Rung.CGROUP] = "this kernel cannot kill a control group at once (Linux 5.14 can)"
    spaces = [each.name for each in probed if Guarantee.OWN_PROCESS_SPACE in each.guarantees and each.usable]
    if not spaces:
        reasons = [f"{each.name}: {each.says}" for each in probed if not each.usable]
        missing[Rung.PID_NAMESPACE] = "; ".join(reasons) or "no way to confine that makes one is allowed"
    if not subreaper:
        missing[Rung.SUBREAPER] = "this kernel does not let a process adopt its orphaned descendants"
    return Ladder(rungs=tuple(rung for rung in Rung if rung not in missing), missing=missing)


def can_reap() -> bool:
    """Whether a process may become the reaper of its descendants; asked by a call that changes nothing."""
    try:
        prctl(PR_SET_CHILD_SUBREAPER, 0)
    except OSError:
        return False
    return True
