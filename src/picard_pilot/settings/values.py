"""From what people write to typed values: numbers, durations, sizes, yes and no, lists.

Which option a text belongs to, and where it stood, is `settings.read`.
"""

import math
from collections.abc import Callable, Sequence

from picard_pilot.settings.option import Kind, Option, Value

_SECONDS_IN = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES_IN = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
    "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
}  # fmt: skip
YES = frozenset({"yes", "true", "on", "y", "t", "1"})
NO = frozenset({"no", "false", "off", "n", "f", "0"})


def parse(option: Option, raw: object) -> Value:
    """The value of `option` that `raw` means: a text, a TOML value or a list of either.

    Raises ValueError whose text says what would have been good.
    """
    value = _PARSERS[option.kind](raw)
    words = value if isinstance(value, tuple) else (value,) if isinstance(value, str) else ()
    if option.choices and not set(words) <= set(option.choices):
        raise ValueError("it is none of " + ", ".join(option.choices))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_range(option, value)
    return value


def parse_kind(kind: Kind, raw: object) -> Value:
    """The value of this kind that `raw` means, for a flag that is no setting. Raises ValueError."""
    return _PARSERS[kind](raw)


def _check_range(option: Option, value: float) -> None:
    """Raises ValueError when `value` is outside the option's range."""
    if option.minimum is not None and value < option.minimum:
        raise ValueError(f"it is less than {option.minimum:g}")
    if option.maximum is not None and value > option.maximum:
        raise ValueError(f"it is more than {option.maximum:g}")


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError("it is not a text")
    if not raw.strip() or "\0" in raw:
        raise ValueError("it is empty or holds a NUL byte")
    return raw.strip()


def _integer(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, (int, str)):
        raise ValueError("it is not a whole number")
    try:
        return int(raw)
    except ValueError:
        raise ValueError("it is not a whole number") from None


def _measured(raw: object, units: dict[str, float] | dict[str, int], wanted: str) -> float:
    """A finite number, with or without one of `units`."""
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        number = float(raw)
    elif isinstance(raw, str):
        text = raw.strip().lower()
        digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = text[len(digits) :]
        try:
            number = float(digits) * (units[unit] if unit else 1)
        except (ValueError, KeyError):
            raise ValueError(f"it is not {wanted}") from None
    else:
        raise ValueError(f"it is not {wanted}")
    if not math.isfinite(number):
        raise ValueError(f"it is not {wanted}")
    return number


def _seconds(raw: object) -> float:
    return _measured(raw, _SECONDS_IN, "a time such as 90, 30s, 15m, 2h or 3d")


def _bytes(raw: object) -> int:
    return int(_measured(raw, _BYTES_IN, "a size such as 1000, 512MiB or 2GiB"))


def _yes_no(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = raw.strip().lower() if isinstance(raw, str) else raw
    if word in YES:
        return True
    if word in NO:
        return False
    raise ValueError("it is neither yes nor no")


def _list(raw: object) -> tuple[str, ...]:
    items: Sequence[object] = raw if isinstance(raw, (list, tuple)) else (raw,)
    words = (word.strip() for item in items for word in _text(item).split(","))
    return tuple(word for word in words if word)


_PARSERS: dict[Kind, Callable[[object], Value]] = {
    Kind.TEXT: _text,
    Kind.PATH: _text,
    Kind.INTEGER: _integer,
    Kind.SECONDS: _seconds,
    Kind.BYTES: _bytes,
    Kind.YES_NO: _yes_no,
    Kind.LIST: _list,
}


def written(value: Value, kind: Kind | None = None) -> str:
    """`value` as people would write it in a settings file or on the command line; empty for None.

    A size, by its `kind`, is written in the largest unit that leaves it whole.
    """
    if kind is Kind.BYTES and isinstance(value, int):
        units = (
            unit for unit in ("TiB", "GiB", "MiB", "KiB") if value and value % _BYTES_IN[unit.lower()] == 0
        )
        unit = next(units, "")
        return f"{value // _BYTES_IN[unit.lower()]}{unit}" if unit else str(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if value < 1e6 else f"{value:.0f}"
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)
