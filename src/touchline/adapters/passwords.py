"""Passwords as argon2id hashes (RFC 9106), with the parameters in each hash, so that they can be raised later."""

import base64
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY as LOW_MEMORY


class Argon2Hasher:
    """Makes and checks hashes.

    Args:
        time_cost: Passes over the memory.
        memory_cost: KiB. The defaults are RFC 9106's second recommendation (section 4).
        parallelism: Threads.
    """

    def __init__(
        self,
        time_cost: int = LOW_MEMORY.time_cost,
        memory_cost: int = LOW_MEMORY.memory_cost,
        parallelism: int = LOW_MEMORY.parallelism,
    ) -> None:
        self._hasher = PasswordHasher(time_cost, memory_cost, parallelism)
        salt, nobody = (_base64(bytes(length)) for length in (self._hasher.salt_len, self._hasher.hash_len))
        self._nobody = f"$argon2id$v=19$m={memory_cost},t={time_cost},p={parallelism}${salt}${nobody}"

    def hash(self, password: str) -> str:
        """The hash to keep, with a salt of its own."""
        return self._hasher.hash(_spelt(password))

    def verify(self, kept: str, password: str) -> bool:
        """Whether the hash is of this password."""
        try:
            return self._hasher.verify(kept, _spelt(password))
        except (VerificationError, InvalidHashError):
            return False

    def stale(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than these."""
        return self._hasher.check_needs_rehash(kept)

    def dummy(self) -> None:
        """Take as long as `verify`: what is done for an address that nobody has."""
        self.verify(self._nobody, "nobody")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii").rstrip("=")


def _spelt(password: str) -> bytes:
    # One keyboard composes an umlaut, another one writes it as two characters.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
