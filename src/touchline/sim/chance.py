"""Numbers drawn by name instead of in order, so that any row of the market can be made again on its own."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1


def stream(seed: int, purpose: str) -> int:
    """Start of one stream of draws: each purpose has its own, so that one more draw here changes nothing there."""
    return int.from_bytes(blake2b(f"{seed} {purpose}".encode(), digest_size=8).digest(), "big")


def draw(start: int, number: int) -> int:
    """64 even bits for one number of a stream (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).

    Integers only, so that every machine and every Python draws the same.
    """
    bits = (start + number * 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & _MASK
    return bits ^ bits >> 31


def distinct(start: int, count: int) -> Iterator[int]:
    """The numbers 0 to count - 1 in chance order, each once; quick while a good part is left."""
    left, number, taken = count, 0, bytearray(count)
    while left:
        found = draw(start, number) % count
        number += 1
        if not taken[found]:
            taken[found] = 1
            left -= 1
            yield found


class Dice:
    """Draws for one thing with many attributes, one after the other."""

    def __init__(self, start: int, number: int) -> None:
        self._start = draw(start, number)
        self._thrown = 0

    def of(self, table: Sequence[T]) -> T:
        """One entry of the table; an entry that stands there twice comes twice as often."""
        self._thrown += 1
        return table[draw(self._start, self._thrown) % len(table)]
