"""Entry of the launcher program, run by path as `python -I -S -E start.py`. All else is in `launcher`.

Only this file is compiled at each start; the others come from the interpreter's cache, 5 ms sooner.
"""

import sys

sys.path.append(__file__.rsplit("/", 4)[0])

from picard_pilot.system.shim.launcher import main

main()
