"""Picard: the next-generation PanDA pilot. The rooms are listed in ARCHITECTURE.md."""
