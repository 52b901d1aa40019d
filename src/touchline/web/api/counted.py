"""Numbers that are counted in the background: the value as it was a moment ago, and when that was."""

from datetime import datetime
from typing import Generic, TypeVar

from pydantic import Field

from touchline.web.api.shapes import Shape

T = TypeVar("T")


class Counted(Shape, Generic[T]):
    """A number, or what is made of numbers."""

    value: T | None = Field(description="Null while it is being counted for the first time: ask again in a second.")
    as_of: datetime | None = Field(description="When that was counted.")

    @classmethod
    def of(cls, told: tuple[object, datetime | None]) -> "Counted[T]":
        """From what `app.counts` gives."""
        value, as_of = told
        return cls.model_validate({"value": value, "as_of": as_of})
