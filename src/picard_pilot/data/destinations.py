"""Where an output should go: one ordered list, each entry with the reason why it stands there.

Pure decisions over values; walking the list is `data.walk`, keeping a file for a later pilot is the caller's.
"""

from picard_pilot.data.paths import Named, NoPlan, address, nothing_named, queue_endpoints, usable
from picard_pilot.model.files import FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.policy import AltStageOut
from picard_pilot.model.site import Activity, Site
from picard_pilot.model.transfer import Destination


def destinations(
    file: FileSpec, site: Site, job: Job, activity: str = Activity.WRITE
) -> tuple[Destination, ...]:
    """Where to store an output, best first; every endpoint by each of its protocols.

    First where the job says, else the queue's first endpoint for the activity. Then the alternative ones, marked
    as such, if `altStageOut` permits: those of `write_alternative`, else the queue's next one for the activity. The
    job's word counts before the queue's; where neither says anything, a queue that names `write_alternative` means
    it. Forced, the alternative ones are the only ones, as far as there are any.
    Raises NoPlan where there is no destination at all.
    """
    mode, who = alternative_mode(site, job)
    wanted, rest = _named(file, site, activity)
    obstacles: list[NoPlan] = []
    alternative: list[Destination] = []
    if mode is not AltStageOut.OFF:
        for named in _alternatives(site, wanted, rest):
            alternative += _places(file, site, activity, named, obstacles, who)
    if mode is AltStageOut.FORCE and alternative:
        return tuple(alternative)
    first_obstacles: list[NoPlan] = []
    first = _places(file, site, activity, wanted, first_obstacles) if wanted else []
    if first or alternative:
        return (*first, *alternative)
    for obstacle in (*first_obstacles, *obstacles):
        raise obstacle.with_hint(site)
    raise nothing_named(file, site, activity)


def alternative_mode(site: Site, job: Job) -> tuple[AltStageOut, str]:
    """Whether alternative destinations are used, and who says so."""
    if job.alt_stage_out is not None:
        return job.alt_stage_out, "the job's altStageOut"
    if site.queue.alt_stage_out is not None:
        return site.queue.alt_stage_out, f"queue {site.queue.name}'s altStageOut"
    if site.queue.endpoints.get(Activity.WRITE_ALTERNATIVE):
        return AltStageOut.ON, f"queue {site.queue.name}, which names it"
    return AltStageOut.OFF, "nobody asks for it"


def _named(file: FileSpec, site: Site, activity: str) -> tuple[Named | None, list[Named]]:
    """The endpoint that is meant, and the others that the queue names for the activity."""
    named = list(queue_endpoints(site, activity))
    if file.endpoint:
        others = (entry for entry in named if entry.name != file.endpoint)
        named = [Named(file.endpoint, f"the job names {file.endpoint}"), *others]
    return (named[0], named[1:]) if named else (None, [])


def _alternatives(site: Site, wanted: Named | None, rest: list[Named]) -> list[Named]:
    queue = site.queue
    used, names = queue.endpoints_for(Activity.WRITE_ALTERNATIVE)
    meant = {wanted.name} if wanted else set()
    extra = [
        Named(name, f"alternative {place} of queue {queue.name} for {used}")
        for place, name in enumerate(names, start=1)
        if name not in meant
    ]
    return extra or rest[:1]


def _places(
    file: FileSpec,
    site: Site,
    activity: str,
    named: Named,
    obstacles: list[NoPlan],
    permitted_by: str | None = None,
) -> list[Destination]:
    """All addresses for the file at one endpoint; none, and an obstacle noted, where that is not possible."""
    found = usable(site, named.name, activity)
    if isinstance(found, NoPlan):
        obstacles.append(found)
        return []
    try:
        prefixes = site.queue.preferred(found.prefixes, activity)
        surls = [address(file, found.endpoint, prefix) for prefix in prefixes]
    except NoPlan as obstacle:
        obstacles.append(obstacle)
        return []
    reason = f"{named.reason}, permitted by {permitted_by}" if permitted_by else named.reason
    return [
        Destination(
            surl=surl,
            endpoint=found.endpoint,
            movers=site.queue.movers_for(activity),
            alternative=permitted_by is not None,
            reason=reason,
        )
        for surl in surls
    ]
