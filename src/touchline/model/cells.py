"""Spreadsheet cells: text that a spreadsheet would run is made harmless on the way out and restored on the way in."""

import polars as pl

RISKY = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a cell a formula (OWASP, CSV Injection)."""


def neutral(text: str) -> str:
    """The text with a leading apostrophe where a spreadsheet would run it, or where a reader would take one away."""
    return f"'{text}" if text.startswith(RISKY) or restored_text(text) != text else text


def restored_text(text: str) -> str:
    """What `neutral` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith((*RISKY, "'")) else text


def restored(expr: pl.Expr) -> pl.Expr:
    """`restored_text` of a column."""
    return pl.when(expr.str.contains(r"^'[=+\-@\t\r']")).then(expr.str.slice(1)).otherwise(expr)


def clean(value: object) -> bool:
    """Whether no text anywhere in a JSON value has a control character other than tab and line breaks."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                if any(char < " " and char not in "\t\n\r" for char in text) or "\x7f" in text:
                    return False
            case dict() as inner:
                waiting += [*inner, *inner.values()]
            case list() as inner:
                waiting += inner
    return True
