"""Imports urllib3 without `importlib.metadata`, which costs a fifth of its time and 1.7 MB of memory.

urllib3 wants it only to look up the version of an HTTP/2 library, when asked to speak HTTP/2; we never ask.
"""

import importlib
import sys
import types

_UNWANTED = "importlib.metadata"


def _import() -> types.ModuleType:
    if _UNWANTED in sys.modules or "urllib3" in sys.modules:
        return importlib.import_module("urllib3")
    stand_in = types.ModuleType(_UNWANTED)

    def real_one(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)  # the import machinery looks at the stand-in, not at its contents
        # Somebody else wants the module after all, and gets the real one.
        if sys.modules.get(_UNWANTED) is stand_in:
            del sys.modules[_UNWANTED]
        return getattr(importlib.import_module(_UNWANTED), name)

    def version(distribution_name: str) -> object:
        found: object = real_one("version")
        return found(distribution_name) if callable(found) else None

    stand_in.__dict__.update(__getattr__=real_one, version=version)
    sys.modules[_UNWANTED] = stand_in
    try:
        return importlib.import_module("urllib3")
    finally:
        if sys.modules.get(_UNWANTED) is stand_in:
            del sys.modules[_UNWANTED]


urllib3 = _import()
