"""Words that several collections share, drawn once: Faker gives realism here and is never called for a document."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from faker import Faker

CATEGORIES = {
    "electronics": ("wireless headphones", "phone case", "laptop stand", "4k monitor", "usb-c cable", "smart watch"),
    "clothing": ("winter jacket", "running shorts", "denim shirt", "wool socks", "rain coat", "summer dress"),
    "home": ("desk lamp", "storage box", "bed linen", "throw pillow", "wall clock", "curtain rod"),
    "kitchen": ("chef knife", "espresso machine", "cast iron pan", "water bottle", "cutting board", "toaster"),
    "sports": ("yoga mat", "dumbbell set", "cycling gloves", "tennis racket", "camping tent", "trail shoes"),
    "books": ("science fiction", "cookbook", "travel guide", "history of europe", "graphic novel", "poetry"),
    "toys": ("building blocks", "board game", "puzzle 1000 pieces", "plush bear", "toy train", "kite"),
    "beauty": ("face cream", "shampoo", "perfume", "lip balm", "sunscreen", "hair dryer"),
    "garden": ("garden hose", "flower pots", "pruning shears", "bird feeder", "solar lights", "seeds"),
    "pets": ("cat litter", "dog bed", "aquarium filter", "scratching post", "dog food", "bird cage"),
}
"""What the shop sells, by category; the first products of a category are the popular ones."""


class Words(NamedTuple):
    """Texts to choose from: first names, sentences, colours, and devices as (type, user agent)."""

    names: tuple[str, ...]
    remarks: tuple[str, ...]
    colours: tuple[str, ...]
    devices: tuple[tuple[str, str], ...]


@lru_cache(maxsize=8)
def words(seed: int) -> Words:
    """Return the words of a seed: the same for the same version of Faker."""
    faker = Faker("en_US")
    faker.seed_instance(seed)
    kinds = (
        ("desktop", faker.chrome),
        ("mobile", faker.safari),
        ("desktop", faker.firefox),
        ("mobile", faker.chrome),
        ("tablet", faker.safari),
        ("mobile", faker.safari),
    )
    return Words(
        names=tuple(faker.first_name() for _ in range(400)),
        remarks=tuple(faker.sentence(nb_words=9) for _ in range(200)),
        colours=tuple(faker.color_name().lower() for _ in range(12)),
        devices=tuple((kind, agent()) for _ in range(10) for kind, agent in kinds),
    )
