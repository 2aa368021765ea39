"""The generic experiment: runs the job's command as it stands, for anybody without software of their own.

Everything it does is the interface's default, in `experiments.base`.
"""

from picard_pilot.experiments.base import Experiment


class Generic(Experiment):
    """The command is `transformation` followed by `jobPars`, split into words and started without a shell."""

    name = "generic"
