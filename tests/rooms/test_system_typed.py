"""Types that several threads decode for the first time at once."""

import subprocess
import sys

PROGRAM = """
import sys, threading
import msgspec
from picard_pilot.system.typed import ready

sys.setswitchinterval(1e-6)
for number in range(200):
    class Inner(msgspec.Struct):
        a: "int | None" = None

    fields = [(f"f{place}", "Inner | None", None) for place in range(30)]
    outer = msgspec.defstruct(f"Outer{number}", fields, module="__main__")
    ready(outer)
    body = msgspec.json.encode({f"f{place}": {"a": 1} for place in reversed(range(30))})
    together = threading.Barrier(4)

    def decode():
        together.wait()
        msgspec.json.decode(body, type=outer)

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("done")
"""


def test_a_type_that_is_ready_can_be_decoded_by_many_threads_at_once() -> None:
    """Without `ready` this program ends with SIGSEGV within some dozen rounds."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
