"""Texts that the API takes: bounded, and without characters that no person types and no database keeps."""

from typing import Annotated

from fastapi import Path, Query
from pydantic import StringConstraints

ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
LONGEST = 4_000
"""Characters of a rule: the rule language takes no more."""
LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"

Line = Annotated[str, StringConstraints(max_length=500, pattern=ONE_LINE)]
"""Text without line breaks."""
Said = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=ONE_LINE)]
"""A reason or a name: something must be said."""
Lines = Annotated[str, StringConstraints(max_length=100_000, pattern=LINES)]
"""Text with line breaks and tabs."""
Rule = Annotated[str, StringConstraints(max_length=LONGEST, pattern=LINES)]
"""A condition in the rule language."""

Name = Annotated[str, Path(min_length=1, max_length=200, pattern=ONE_LINE)]
"""A name in the path."""
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
"""A key in the path."""
Campaign = Annotated[
    str | None, Query(min_length=1, max_length=200, pattern=ONE_LINE, description="Only of this campaign.")
]
Where = Annotated[
    str | None,
    Query(
        max_length=LONGEST,
        pattern=LINES,
        description="A condition in the rule language.",
        examples=["employees BETWEEN 50 AND 500 AND country = 'de'"],
    ),
]
