"""Doing it: the pilot's loop, the performing of instructions, signals, shutdown, and what earlier pilots left."""
