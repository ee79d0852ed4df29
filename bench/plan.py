"""How much is measured: counts and rounds of a full, quick or tiny run. Handed to every section."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.noise import Noise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a section may spend. `directory` is where queue files go: its disk is the one measured."""

    directory: Path
    rounds: int = 3
    messages: int = 10_000
    commands: int = 1_000
    memory_messages: int = 50_000
    soak_messages: int = 300_000
    starts: int = 7
    idle_s: float = 10.0
    latency_s: float = 10.0
    limit_s: float = 0.5
    repeats: int = 5
    largest: int = 1_000_000
    """The largest backlog of `growth`; other sizes of it follow from it."""
    noise: Noise = field(default_factory=Noise)
    """Of the section that is running; a section times its rounds with `each_round`."""

    def each_round(self) -> Iterator[int]:
        """The numbers of the rounds; the raw loop is timed before each."""
        return self.noise.rounds(self.rounds)


def full(directory: Path) -> Plan:
    """What the documented figures are made with; about five minutes."""
    return Plan(directory=directory)


def quick(directory: Path) -> Plan:
    """A short run of half a minute; less exact."""
    return Plan(
        directory=directory,
        rounds=1,
        messages=3_000,
        commands=200,
        memory_messages=10_000,
        soak_messages=50_000,
        starts=5,
        idle_s=3.0,
        latency_s=2.0,
        limit_s=0.2,
        repeats=3,
        largest=10_000,
    )
