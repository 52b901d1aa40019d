"""Shapes that every resource of the API shares: pages of a list, and what became of a change to many."""

from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Shape(BaseModel):
    """Base of what the API answers."""

    model_config = ConfigDict(from_attributes=True)


class Body(BaseModel):
    """Base of what the API takes: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", str_max_length=1_000_000)


class Page(Shape, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None = Field(None, description="Cursor of the next page; null on the last.")


class Followed(Shape):
    """Long work that was queued."""

    run: int = Field(description="Number of the run.", examples=[42])
    follow: str = Field(description="Where its progress is.", examples=["/api/v1/runs/42"])


def place_of(run: int) -> str:
    """Where the progress of a run is."""
    return f"/api/v1/runs/{run}"


Limit = Annotated[int, Query(ge=1, le=500, description="Items on a page.")]
Cursor = Annotated[str | None, Query(max_length=2_000, description="`next` of the page before.")]
DryRun = Annotated[bool, Query(description="Only say what would happen.")]
Key = Annotated[int, Field(ge=1, le=2**63 - 1)]
