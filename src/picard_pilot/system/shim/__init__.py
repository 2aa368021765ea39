"""The launcher: a small program that runs one command and tells how it ended; it imports this folder only."""
