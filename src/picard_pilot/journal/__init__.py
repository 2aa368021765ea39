"""A job's durable record: append, read, lease. One folder per job, one writer at a time."""
