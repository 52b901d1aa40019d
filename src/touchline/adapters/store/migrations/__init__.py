"""Every change of the tables, in order. A released revision is never edited."""

HEAD = "0005"
"""The revision that this version of Touchline needs; a test holds it against Alembic's own answer."""
