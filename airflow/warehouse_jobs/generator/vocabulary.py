"""The words of the shop, drawn once: Faker gives realism here and is never called for a document."""

from __future__ import annotations

from dataclasses import dataclass

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

ISSUES = {
    "delivery": "my parcel",
    "payment": "the payment",
    "refund": "my refund",
    "product_quality": "the product",
    "account": "my account",
    "technical": "the website",
}

_QUESTIONS = (
    "Hello, there is a problem with {issue}.",
    "I have waited for days, what about {issue}?",
    "Could you please look into {issue}?",
    "Something went wrong with {issue}, can you help?",
    "I need an answer about {issue} this week.",
)
_REMINDERS = (
    "Any news about {issue}?",
    "That did not help, {issue} is still wrong.",
    "Thank you, one more question about {issue}.",
    "I have sent the photo of {issue} that you asked for.",
)
_ANSWERS = (
    "Thank you for writing, I am checking {issue}.",
    "We have passed {issue} on to the warehouse.",
    "Could you tell me the order number for {issue}?",
    "I am sorry about the trouble with {issue}.",
)
_CLOSINGS = (
    "This is solved now, have a nice day!",
    "We have refunded you, sorry again.",
    "A replacement is on its way.",
)

_OPINIONS = {
    1: ("Broke after a day.", "Not what was described.", "Would not buy again."),
    2: ("Cheaper than it looks.", "Arrived late and scratched.", "Disappointing."),
    3: ("Does its job.", "Fine for the price.", "Neither good nor bad."),
    4: ("Good quality, small flaws.", "Happy with it.", "Nearly perfect."),
    5: ("Exactly what I wanted.", "Excellent, my whole family likes it.", "Best purchase of the year."),
}

_PEOPLE = 400
_REMARKS = 200
_DEVICES = 60


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Texts to choose from. ``conversations`` and ``opinions`` are keyed by issue and by rating."""

    devices: tuple[tuple[str, str], ...]
    questions: dict[str, tuple[str, ...]]
    reminders: dict[str, tuple[str, ...]]
    answers: dict[str, tuple[str, ...]]
    closings: tuple[str, ...]
    opinions: dict[int, tuple[str, ...]]
    searches: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, seed: int) -> Vocabulary:
        """The words of a seed: the same for the same version of Faker."""
        faker = Faker("en_US")
        faker.seed_instance(seed)
        names = tuple(faker.first_name() for _ in range(_PEOPLE))
        remarks = tuple(faker.sentence(nb_words=9) for _ in range(_REMARKS))
        colours = tuple(faker.color_name().lower() for _ in range(12))

        def told(phrases: tuple[str, ...], signed: bool) -> dict[str, tuple[str, ...]]:  # noqa: FBT001 - local
            return {
                issue: tuple(
                    phrase.format(issue=subject) + (f" {name}" if signed else f" {remark}")
                    for phrase in phrases
                    for name, remark in zip(names[:25], remarks[:25], strict=True)
                )
                for issue, subject in ISSUES.items()
            }

        return cls(
            devices=tuple(_device(faker, number) for number in range(_DEVICES)),
            questions=told(_QUESTIONS, signed=False),
            reminders=told(_REMINDERS, signed=False),
            answers=told(_ANSWERS, signed=True),
            closings=tuple(f"{closing} {name}" for closing in _CLOSINGS for name in names),
            opinions={
                rating: tuple(f"{opinion} {remark}" for opinion in opinions for remark in remarks)
                for rating, opinions in _OPINIONS.items()
            },
            searches={
                category: (*products, *(f"{colour} {product}" for product in products for colour in colours))
                for category, products in CATEGORIES.items()
            },
        )


def _device(faker: Faker, number: int) -> tuple[str, str]:
    """Type and user agent; every second device is a phone."""
    if number % 2:
        return "mobile", faker.safari() if number % 4 == 1 else faker.chrome()
    if number % 6 == 0:
        return "tablet", faker.safari()
    return "desktop", faker.firefox() if number % 4 else faker.chrome()
