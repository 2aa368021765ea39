"""The ways to confine payloads that a node has, tried once: which of them a job gets, and what holds its processes.

The ways themselves are `isolation`; what is done with the one that a job gets is `pilot.confining`.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from picard_pilot.diagnosis.faults import fault
from picard_pilot.model.fault import Blame, Fault
from picard_pilot.model.isolation import (
    Chosen,
    Confined,
    ConfinementView,
    Guarantee,
    IsolationNeeds,
    Ladder,
    NotIsolated,
    Probed,
)
from picard_pilot.model.site import Queue
from picard_pilot.plugins import loader
from picard_pilot.system.cgroup import NoPlace, Place, find_place

if TYPE_CHECKING:
    from picard_pilot.isolation.base import Isolation

log = logging.getLogger("picard.isolation")

PROBES_LIMIT_S = 100.0
"""For all probes together, which run beside each other: ours start three programs at most, of 30 s each."""


class NodeWays(NamedTuple):
    """What a node was found to have. `place` is where control groups for payloads are made."""

    probed: tuple[Probed, ...]
    ladder: Ladder
    place: Place | NoPlace

    def says(self) -> str:
        """One line for the log."""
        usable = "; ".join(f"{each.name} ({each.says})" for each in self.probed if each.usable)
        lacking = "; ".join(f"{each.name}: {each.says}" for each in self.probed if not each.usable)
        missing = "; ".join(f"{rung}: {why}" for rung, why in self.ladder.missing.items())
        return (
            f"payloads can be confined by {usable or 'nothing'}{f', not by {lacking}' if lacking else ''}; "
            f"their processes are held by {', '.join(self.ladder.rungs)}{f', not by {missing}' if missing else ''}"
        )


class Ways:
    """The allowed ways of one pilot, in order; what its node has of them is found out when it is first asked for."""

    def __init__(
        self,
        names: Iterable[str] = ("none",),
        environ: Mapping[str, str] | None = None,
        required: Iterable[str] = (),
    ) -> None:
        """`names` as the setting has them, `required` are the guarantees that the setting adds to the queue's."""
        self.names = tuple(dict.fromkeys(names))
        self._environ = dict(environ or {})
        self._required = frozenset(map(Guarantee, required))
        self._looking = asyncio.Lock()
        self._places: dict[str, str] = {}
        """By the plain name of a usable way, the name under which it is loaded: `sudo` is `sudo:USER`."""
        self.found: NodeWays | None = None
        """Once it is known."""

    def require_known(self) -> None:
        """Raise PluginError for a name that leads to no way; nothing is imported yet."""
        for name in self.names:
            loader.find("isolation", name)

    async def known(self) -> NodeWays:
        """What this node has: tried for real by the first who asks, all ways beside each other."""
        async with self._looking:
            if self.found is None:
                self.found = await self._look()
                log.info("%s", self.found.says())
        return self.found

    def load(self, name: str) -> "Isolation":
        """A way by the name under which it is loaded, new each time. Raises PluginError."""
        made: Isolation = loader.load("isolation", name)(self._environ)
        return made

    def place_of(self, name: str) -> str:
        """The name under which the usable way of this plain name is loaded."""
        return self._places.get(name, name)

    def required(self, queue: Queue) -> frozenset[Guarantee]:
        """What payloads of this queue must be confined by here."""
        return self._required | frozenset(queue.required_guarantees)

    async def choose(
        self, queue: Queue, image: str | None, failed: Mapping[str, str] = MappingProxyType({})
    ) -> Chosen | NotIsolated:
        """The way for a job, or why there is none. `failed` are ways that cannot confine this job, and why."""
        from picard_pilot.isolation.choice import choose

        found = await self.known()
        needs = IsolationNeeds(
            guarantees=self.required(queue),
            image=image,
            providers=tuple(dict.fromkeys(each.name for each in found.probed)),
        )
        probed = [
            Probed(name=each.name, usable=False, says=failed[each.name]) if each.name in failed else each
            for each in found.probed
        ]
        return choose(needs, probed)

    def view(self, confined: Confined | None) -> ConfinementView | None:
        """What is known of the node and of one payload; None before anybody asked."""
        if self.found is None:
            return None
        return ConfinementView(
            way=None if confined is None else confined.way.partition(":")[0],
            says=None if confined is None else confined.says,
            held_by=tuple(rung.value for rung in self.found.ladder.rungs),
            not_held_by={rung.value: why for rung, why in self.found.ladder.missing.items()},
        )

    async def _look(self) -> NodeWays:
        from picard_pilot.isolation.ladder import can_reap, ladder  # not before the first question is asked

        probes = [asyncio.create_task(self._probe(name), name=f"probe {name}") for name in self.names]
        try:
            async with asyncio.timeout(PROBES_LIMIT_S):
                await asyncio.gather(*probes)
        except TimeoutError:
            log.warning("not all ways to confine answered within %g s", PROBES_LIMIT_S)
        finally:
            for probe in probes:
                probe.cancel()
        tried = list(zip(self.names, map(_answer, self.names, probes), strict=True))
        probed: dict[str, Probed] = {}
        for name, each in tried:
            # Of several places of one way (two installations of apptainer) the first that works.
            if each.name not in probed or (each.usable and not probed[each.name].usable):
                probed[each.name] = each
                self._places[each.name] = name
        place = find_place()
        ways = tuple(probed.values())
        return NodeWays(ways, ladder(place, ways, can_reap()), place)

    async def _probe(self, name: str) -> Probed:
        """This is the plug-in border: a way that cannot be loaded or tried is not usable."""
        try:
            return await self.load(name).probe()
        except Exception as error:  # noqa: BLE001 - a way of another package may raise anything
            return _unusable(name, f"it cannot be tried: {type(error).__name__}: {error}".splitlines()[0])


def refused(why: NotIsolated, required: Iterable[Guarantee], queue: Queue) -> Fault:
    """What it means for a job that nothing here confines it as it must be."""
    origin = queue.origins.get("required_guarantees")
    by_setting = sorted(set(required) - set(queue.required_guarantees))
    evidence = []
    if queue.required_guarantees:
        where = f" ({origin.detail})" if origin else ""
        evidence.append(f"required by the queue: {', '.join(queue.required_guarantees)}{where}")
    if by_setting:
        evidence.append(f"required by the setting required_guarantees: {', '.join(by_setting)}")
    found = fault(
        "QUEUENOTSETUPFORCONTAINERS" if why.image else "SETUPFAILURE",
        f"the job is not run, since {why.says}",
        rule="isolation.choice",
        evidence=tuple(evidence),
    )
    # The numbers stand for more than that, failing hooks of an experiment among them: here the node lacks something.
    return msgspec.structs.replace(found, next_step=why.next_step, blame=Blame.NODE)


def _answer(name: str, probe: asyncio.Task[Probed]) -> Probed:
    if probe.done() and not probe.cancelled():
        return probe.result()
    return _unusable(name, "it did not answer when it was tried")


def _unusable(name: str, says: str) -> Probed:
    takes_place = bool(loader.find("isolation", name).place)
    return Probed(name=name.partition(":")[0] if takes_place else name, usable=False, says=says)
