"""A shop as its parts: what every module that produces documents needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warehouse_jobs.generator.identity import Identity
from warehouse_jobs.generator.mix import Mix
from warehouse_jobs.generator.parameters import LIFE_SIZE, Parameters
from warehouse_jobs.generator.population import Population
from warehouse_jobs.generator.randomness import random_source
from warehouse_jobs.generator.vocabulary import Vocabulary

if TYPE_CHECKING:
    from random import Random

    from warehouse_jobs.generator.slots import Slot


@dataclass(frozen=True, slots=True)
class Shop:
    """Parameters and what follows from them before any document."""

    parameters: Parameters
    mix: Mix
    population: Population
    vocabulary: Vocabulary

    @classmethod
    def of(cls, parameters: Parameters) -> Shop:
        """The shop of these parameters."""
        seed = parameters.seed
        return cls(parameters, Mix(parameters), Population(parameters), Vocabulary.of(seed))

    @property
    def minute(self) -> float:
        """A minute of the shop in milliseconds of its clock: shorter than a minute when the slots are."""
        return 60_000 * self.parameters.slot_seconds / LIFE_SIZE

    def random(self, purpose: str, slot: Slot) -> Random:
        """The randomness of one purpose in one slot."""
        return random_source(self.parameters.seed, purpose, slot.seconds, slot.number)

    def visitors(self, collection: str) -> Identity:
        """The identifiers of what visitors leave."""
        return Identity.of(f"{self.parameters.seed}/{self.parameters.slot_seconds}", collection)

    def catalogue(self, collection: str) -> Identity:
        """The identifiers of what the shop itself keeps: the same at every grain of time."""
        return Identity.of(str(self.parameters.seed), collection)
