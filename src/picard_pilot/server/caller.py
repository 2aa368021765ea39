"""Who calls, as the rules need to know it. How that is found out is `auth`'s."""

from __future__ import annotations

import msgspec


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls: the name that stands as owner of their jobs, and whether they hold the production role."""

    name: str
    is_production: bool
