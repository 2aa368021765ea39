"""A pilot that takes a transfer without a byte for hanging after five seconds, not after a minute."""

import sys

from picard_pilot.cli.main import main
from picard_pilot.data.worker import TransferWorker, WorkerLimits

if __name__ == "__main__":
    TransferWorker.__init__.__kwdefaults__["limits"] = WorkerLimits(stall_s=5.0)
    sys.exit(main(sys.argv[1:]))
