"""The settings of one run as typed values. Where each came from is `settings.read.Reading`."""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All values, by the names of the options table, which explains each. None: not given."""

    server_url: str | None
    port: int | None
    ca: str | None
    plain_http: bool
    token_file: str | None
    x509_proxy: str | None
    storage_token_file: str | None
    storage_x509_proxy: str | None
    storage_ca: str | None

    queue: str | None
    experiment: str
    job_label: str
    resource_type: str | None
    jobs: int
    memory_mb: int | None
    disk_mb: int | None
    harvester_id: str | None
    worker_id: int | None
    acquire_timeout_s: int
    queue_patience_s: float
    server_patience_s: float
    site_files: tuple[str, ...]
    storage_files: tuple[str, ...]

    max_alternative_replicas: int
    stagein_retry_pause_s: float
    stageout_retry_pause_s: float
    staging_patience_s: float
    node_directory: str | None

    workdir: str | None
    lifetime_s: float
    heartbeat_s: float
    progress_s: float
    command_poll_s: float
    stop_grace_s: float
    report_grace_s: float
    slot_margin_s: float
    assumed_rate_bytes: int
    payload_warning_s: float
    warning_signal: str | None
    drain_file: str | None
    credentials_renewed: bool
    isolation: tuple[str, ...]
    required_guarantees: tuple[str, ...]
    hook_limit_s: float
    output_limit_bytes: int
    looping_limit_s: float
    free_space_limit_bytes: int
    cleanup: bool
    recover: bool
    max_recoveries: int
    recovery_age_s: float
    recovery_attempts: int
    hold_outputs: bool
    debug: bool
    redact: tuple[str, ...]

    server_host: str
    server_port: int
    server_data_dir: str | None
    server_allow_remote: bool

    demo_jobs: int
    demo_pilots: int
    demo_fail: tuple[str, ...]
    demo_port: int
    demo_open: bool
    demo_keep: bool
    demo_seconds: float

    client_timeout_s: float
    client_format: str
