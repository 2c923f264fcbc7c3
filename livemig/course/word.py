"""What a glossary entry is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Term"]


@dataclass(frozen=True)
class Term:
    """One word of the course.

    name: as the glossary prints it. says: one sentence in plain text for somebody who knows what a virtual machine is
    and nothing of QEMU's source. source: a file and function, or a document. also: other spellings (a plural s needs
    none). see: names of related terms. never: phrases in which the word means something else.
    """

    name: str
    says: str
    source: str
    also: tuple[str, ...] = ()
    see: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    @property
    def spellings(self) -> tuple[str, ...]:
        """The name and its other spellings."""
        return (self.name, *self.also)
