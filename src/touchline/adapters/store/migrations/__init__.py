"""Every change of the tables, in order. A released revision is never edited."""
