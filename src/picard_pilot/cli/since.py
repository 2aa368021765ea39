"""`--since 90, 15m, 2h, 3d`: from how long ago to when that was. Times as people read them are `cli.moments`."""

from datetime import UTC, datetime, timedelta

from picard_pilot.cli.exits import UsageTrouble
from picard_pilot.cli.frame import Call
from picard_pilot.settings.option import Kind
from picard_pilot.settings.values import parse_kind


def since_of(call: Call) -> str | None:
    """The moment that `--since 2h` means, in ISO 8601; None where it was not given. Raises UsageTrouble."""
    text = call.args.only_since
    if text is None:
        return None
    try:
        seconds = parse_kind(Kind.SECONDS, text)
        assert isinstance(seconds, float)
        return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    except (ValueError, OverflowError) as error:
        raise UsageTrouble(
            f"--since {text} will not do", str(error), "Write it like 90, 15m, 2h or 3d"
        ) from None
