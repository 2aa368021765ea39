"""Watching a job while it runs: measuring its processes, memory and directory, and saying what is too much."""
