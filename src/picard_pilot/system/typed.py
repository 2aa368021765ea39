"""Struct types that several threads decode, made known to msgspec before the first of them does.

What is decoded, and where, is the business of the modules that define the types.
"""

from typing import Any

import msgspec


def ready(*kinds: Any) -> None:
    """Call it where the types are defined.

    msgspec (0.22 at least) learns a struct's fields when it first decodes one, and takes no lock: two threads that
    meet a type at the same moment read half of what is being learnt, which ends the process with SIGSEGV.
    """
    for kind in kinds:
        msgspec.json.Decoder(kind)
