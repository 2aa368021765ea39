"""Trouble with a site's description, for people and for the server's report.

Finding it is up to the sources and `site.load`.
"""

from picard_pilot.diagnosis.faults import fault
from picard_pilot.model.fault import Fault
from picard_pilot.model.trouble import Trouble

RULE = "site.load"


class SiteError(Trouble):
    """A queue's description is missing, unusable, or says that the queue takes no jobs.

    `name` is the catalogue's: QUEUEDATA (1116), QUEUEDATANOTOK (1117), PANDAQUEUENOTACTIVE (1359) or
    PANDAQUEUENOTONLINE (1386).
    """

    def __init__(self, name: str, what: str, evidence: str, next_step: str | None = None) -> None:
        if next_step is None:
            from picard_pilot.diagnosis.catalogue.codes import BY_NAME

            next_step = BY_NAME[name].next_step
        super().__init__(what, evidence, next_step)
        self.name = name

    @property
    def code(self) -> int:
        """PanDA's number of this error."""
        from picard_pilot.diagnosis.catalogue.codes import BY_NAME

        return BY_NAME[self.name].number

    def fault(self, phase: str | None = None) -> Fault:
        """The same as a fault of a job."""
        return fault(self.name, self.what, rule=RULE, evidence=(self.evidence,), phase=phase)
