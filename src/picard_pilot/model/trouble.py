"""Trouble that people read: an error of three lines, what happened, the evidence, what to do next.

What goes wrong with a job is `model.fault`; this is for settings, plug-ins and commands.
"""


class Trouble(Exception):
    """An error for people. Its text has three lines; each part is one sentence or a short phrase."""

    def __init__(self, what: str, evidence: str, next_step: str) -> None:
        super().__init__(f"{what}\n  {evidence}\n  {next_step}")
        self.what = what
        self.evidence = evidence
        self.next_step = next_step


def nearest(word: str, known: tuple[str, ...], at_most: int = 3) -> tuple[str, ...]:
    """The names in `known` that `word` was probably meant to be, the likeliest first; empty if none is near."""
    import difflib  # only needed when somebody misspelt something

    return tuple(difflib.get_close_matches(word, known, n=at_most, cutoff=0.5))
