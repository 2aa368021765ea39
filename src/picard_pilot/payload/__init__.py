"""The payload: its directory, its command and environment, and the launcher that lets it outlive the pilot."""
