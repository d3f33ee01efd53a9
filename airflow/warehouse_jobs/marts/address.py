"""Where the warehouse is, and who said so."""

from __future__ import annotations

from typing import Self


class Address(str):
    """A connection string that knows what a person corrects it in: a variable, or a connection of Airflow.

    It is a secret, and its repr does not show it.
    """

    __slots__ = ("told_by",)
    told_by: str

    def __new__(cls, dsn: str, told_by: str = "the connection string") -> Self:
        """Take the connection string, and the words for where it came from."""
        made = super().__new__(cls, dsn)
        made.told_by = told_by
        return made

    def __repr__(self) -> str:
        """Whose address it is, and not which."""
        return f"<address by {self.told_by}>"
