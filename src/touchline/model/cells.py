"""Spreadsheet cells: text that a spreadsheet would run is made harmless on the way out and restored on the way in."""

import polars as pl

RISKY = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a cell a formula (OWASP, CSV Injection)."""


def neutral(text: str) -> str:
    """The text with a leading apostrophe where a spreadsheet would run it, or where a reader would take one away."""
    return (
        f"'{text}" if text.startswith(RISKY) or (text.startswith("'") and text[1:].startswith((*RISKY, "'"))) else text
    )


def restored(expr: pl.Expr) -> pl.Expr:
    """What `neutral` was given."""
    return pl.when(expr.str.contains(r"^'[=+\-@\t\r']")).then(expr.str.slice(1)).otherwise(expr)
