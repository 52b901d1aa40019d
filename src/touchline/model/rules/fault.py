"""The one error of the rule language: it shows the rule, the character, what is wrong and what to write instead."""

from touchline.model.errors import InvalidInput

SHOWN = 80
"""Characters of a rule that a message shows; of a longer one it shows what stands around the place."""


class RuleError(InvalidInput, ValueError):
    """A rule is not in the rule language, or asks what its columns cannot answer.

    It is a ValueError too, so that pydantic collects it with the other faults of a campaign file.

    Args:
        text: The rule.
        position: Where the fault begins, in characters from 0.
        fault: What is wrong.
        hint: What to write instead.
    """

    def __init__(self, text: str, position: int, fault: str, *, hint: str = "") -> None:
        super().__init__(f"rule {_around(text, position)!r}, character {position + 1}: {fault}", hint=hint)
        self.text = text
        self.position = position
        self.fault = fault


def _around(text: str, position: int) -> str:
    if len(text) <= SHOWN:
        return text
    start = max(0, min(position - SHOWN // 2, len(text) - SHOWN))
    end = start + SHOWN
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
