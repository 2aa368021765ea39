"""Calls of the C library for which the interpreter has no function of its own.

Through `_ctypes`: 0.3 MB and 1 ms; the `ctypes` package would cost 0.7 MB and 8 ms. Its types are not declared as it
uses them itself, so that they are not checked here.
"""

_RTLD_NOW = 2


def call(name: str, *arguments: int | bytes) -> int:
    """Call a function that returns an int. Raises AttributeError for an unknown one."""
    import _ctypes

    class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "i"

    class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "l"

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL
        _restype_ = Int

    library = _ctypes.dlopen(None, _RTLD_NOW)  # type: ignore[arg-type]
    try:
        function = Function(_ctypes.dlsym(library, name))
    except OSError:
        raise AttributeError(name) from None
    result: int = function(*(each if isinstance(each, bytes) else Long(each) for each in arguments))
    return result
