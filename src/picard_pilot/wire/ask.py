"""From the pilot's request for jobs to the fields of `pilot/acquire_jobs`, and nothing about how it travels.

Casting and dropping of nulls is `wire.encode`.
"""

from picard_pilot.model.orders import Ask


def ask_values(ask: Ask) -> dict[str, object]:
    """The v1 fields of one request, unset ones as None."""
    return {
        "site_name": ask.site_name,
        "computing_element": ask.computing_element,
        "prod_source_label": ask.label,
        "resource_type": ask.resource_type,
        "memory": ask.memory_mb,
        "disk_space": ask.disk_mb,
        "remaining_time": ask.remaining_time_s,
        "node": ask.node,
        "n_jobs": ask.n_jobs,
        "scheduler_id": ask.scheduler_id,
        "harvester_id": ask.harvester_id,
        "worker_id": ask.worker_id,
        "timeout": ask.timeout_s,
    }
