"""How much is measured: counts and rounds of a full, quick or tiny run. Handed to every section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    )
