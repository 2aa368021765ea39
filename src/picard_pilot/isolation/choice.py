"""Which way to confine a job gets: a pure function of what is required and what the node was found to have.

It fails closed: where nothing gives all that is required, the answer is a refusal and never a weaker way.
"""

from collections.abc import Sequence

from picard_pilot.model.isolation import Chosen, Guarantee, IsolationNeeds, NotIsolated, Probed


def choose(needs: IsolationNeeds, probed: Sequence[Probed]) -> Chosen | NotIsolated:
    """The first of `needs.providers` that gives every guarantee and, where there is an image, runs it."""
    by_name = {each.name: each for each in probed}
    allowed = [by_name[name] for name in needs.providers if name in by_name]
    for each in allowed:
        if not _lack(each, needs):
            return Chosen(provider=each.name, says=_why(each, needs))
    usable = [each for each in allowed if each.usable]
    missing = tuple(
        guarantee
        for guarantee in Guarantee
        if guarantee in needs.guarantees and not any(guarantee in each.guarantees for each in usable)
    )
    image = needs.image is not None and not any(each.runs_images for each in usable)
    return NotIsolated(
        missing=missing, says=_says(needs, missing, image, by_name), next_step=_next_step(image), image=image
    )


def _lack(each: Probed, needs: IsolationNeeds) -> str:
    """Why this way will not do, in a few words; empty where it does."""
    if not each.usable:
        return each.says
    lacks = [g.value for g in Guarantee if g in needs.guarantees and g not in each.guarantees]
    if lacks:
        return "does not give " + ", ".join(lacks)
    if needs.image is not None and not each.runs_images:
        return "runs no images"
    if needs.image is None and each.needs_image:
        return "runs only images, and the job names none"
    return ""


def _why(each: Probed, needs: IsolationNeeds) -> str:
    given = [g.value for g in Guarantee if g in needs.guarantees]
    what = ", ".join(given) if given else "nothing is required"
    return f"{each.name} ({each.says}): {what}" + (f"; image {needs.image}" if needs.image else "")


def _says(
    needs: IsolationNeeds, missing: tuple[Guarantee, ...], image: bool, by_name: dict[str, Probed]
) -> str:
    if missing:
        what = "nothing here gives " + ", ".join(missing)
    elif image:
        what = f"nothing here can run the image {needs.image}"
    else:
        together = [g.value for g in Guarantee if g in needs.guarantees]
        if needs.image is not None:
            together.append(f"the image {needs.image}")
        what = "nothing here gives together " + ", ".join(together)
    tried = [
        f"{name}: {_lack(by_name[name], needs) if name in by_name else 'is not a way that this pilot knows'}"
        for name in needs.providers
    ]
    return f"{what} ({'; '.join(tried) if tried else 'no way to confine is allowed'})"


def _next_step(image: bool) -> str:
    if image:
        return "Send the job to a queue whose nodes have apptainer, or install it there or on CVMFS"
    return "Install what is missing on the node, or allow another way to confine by the setting isolation"
