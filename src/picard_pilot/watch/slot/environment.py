"""All that the environment of a job says of its end, from each batch system of which there are signs.

One may run within another, such as HTCondor within Slurm. Only the modules of those that are there are imported.
"""

from collections.abc import Mapping

from picard_pilot.model.slot import Found
from picard_pilot.watch.slot.words import session_began_at


def look(environ: Mapping[str, str], now: float) -> list[Found]:
    """What each of them says; `now` (UTC) counts as the begin where our session's is not known."""
    found = []
    began_at = session_began_at() or now
    if environ.get("_CONDOR_JOB_AD") or environ.get("_CONDOR_MACHINE_AD"):
        from picard_pilot.watch.slot import htcondor

        found.append(htcondor.look(environ, began_at))
    if environ.get("SLURM_JOB_ID"):
        from picard_pilot.watch.slot import slurm

        found.append(slurm.look(environ))
    if environ.get("PBS_JOBID"):
        from picard_pilot.watch.slot import pbs

        found.append(pbs.look(environ, began_at))
    if environ.get("LSB_JOBID"):
        from picard_pilot.watch.slot import lsf

        found.append(lsf.look(environ))
    if environ.get("SGE_TASK_ID"):
        from picard_pilot.watch.slot import gridengine

        found.append(gridengine.look(environ, began_at))
    return found
