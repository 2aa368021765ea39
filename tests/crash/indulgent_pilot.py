"""A pilot whose server has no jobs and takes every update: for looking at what a work directory alone leads to."""

import sys
from typing import Any

from picard_pilot.cli.main import main
from picard_pilot.model.orders import NoJobs, Orders, Standing
from picard_pilot.panda.client import PandaClient


async def no_jobs(*_: Any) -> NoJobs:
    return NoJobs(message="No jobs in PanDA")


async def taken(*_: Any, **__: Any) -> Orders:
    return Orders()


async def ours(_: PandaClient, job_ids: tuple[int, ...]) -> tuple[Standing, ...]:
    return tuple(Standing(job_id=job_id, status="running") for job_id in job_ids)


async def no_orders(*_: Any) -> tuple[()]:
    return ()


if __name__ == "__main__":
    PandaClient.acquire = no_jobs  # type: ignore[assignment]
    PandaClient.tell = taken  # type: ignore[assignment]
    PandaClient.status = ours  # type: ignore[method-assign]
    PandaClient.orders_for = no_orders  # type: ignore[assignment]
    sys.exit(main(sys.argv[1:]))
