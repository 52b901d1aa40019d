"""Score: fit, opportunity and tier from the campaign's scorecard, with every part that made them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import polars as pl

from touchline.model import rules
from touchline.model.campaign import LEAD_COLUMNS, Group, Icp, Tiers
from touchline.model.columns import Kind
from touchline.model.errors import InvalidInput

Axis: TypeAlias = Literal["fit", "opportunity"]
AXES: tuple[Axis, ...] = ("fit", "opportunity")

SLICE = 131_072
"""Rows scored at a time: enough to keep the cores busy, few enough that the texts in between stay small."""

ESCAPES = {'"': '\\"', "\\": "\\\\"} | {chr(code): f"\\u{code:04x}" for code in range(32)}
"""What a JSON string may not hold as it is (RFC 8259, 7)."""


class PartLine(NamedTuple):
    """One line of an explained score."""

    axis: str
    group: str | None
    """None where the line is about the whole axis."""
    name: str
    """The part's name, or `unknown`, `cap`, `bounds`, `no part matched`."""
    points: int
    evidence: str
    """What was known of the lead, such as `employees=120`."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A group of the scorecard with its conditions."""

    axis: Axis
    name: str
    group: Group
    conditions: tuple[rules.Condition, ...]

    def column(self, what: str) -> str:
        """Name of a column that scoring makes for this group: unknown, points, cut or a part's hit."""
        return f"{what} {self.axis} {self.name}"

    @property
    def looks_at(self) -> list[str]:
        return sorted({name for condition in self.conditions for name in condition.columns})


def score(leads: pl.DataFrame, icp: Icp, tiers: Tiers) -> pl.DataFrame:
    """Add `fit`, `opportunity` (0-100), `tier` and `score_parts`.

    Matching parts of a group add up, at most to its cap. Where nothing is known of the columns that a group
    looks at, it gives its `unknown` points instead.

    `score_parts` is a JSON list of `[axis, group, part, points, evidence]` whose points sum to the scores exactly.
    `part` is a position in the group, or `"unknown"`, or `"cap"` and `"bounds"` for what was taken off, or added,
    to stay within the group's cap and within 0-100; `bounds` has no group. `evidence` is the value of the column
    that the part looks at, or the values in order of the columns' names; null where there is none. A group of
    which no part matched has no entry. `explain_parts` reads it.

    Args:
        leads: Leads with shadows.
        icp: The scorecard.
        tiers: The table from both scores to the tier.

    Returns:
        The leads with the four columns, in one chunk.
    """
    lines = [line for axis in AXES for line in _lines(icp, axis)]
    conditions = [condition for line in lines for condition in line.conditions]
    names = {name for condition in conditions for name in condition.columns}
    whole = leads.rechunk()
    read = whole.select(sorted(names | {LEAD_COLUMNS[name].compared for name in names}))
    slices = (read.slice(start, SLICE) for start in range(0, max(read.height, 1), SLICE))
    return whole.with_columns(pl.concat([_scored(rows, lines, tiers) for rows in slices], rechunk=True))


def _lines(icp: Icp, axis: Axis) -> Iterator[_Line]:
    groups = icp.fit if axis == "fit" else icp.opportunity
    for name, group in groups.items():
        yield _Line(axis, name, group, tuple(rules.parse(part.when, LEAD_COLUMNS) for part in group.parts))


def _scored(rows: pl.DataFrame, lines: list[_Line], tiers: Tiers) -> pl.DataFrame:
    rows = _matched(rows, lines)
    rows = rows.with_columns(_points(line).alias(line.column("points")) for line in lines)
    rows = rows.with_columns(
        (line.group.cap - pl.col(line.column("points"))).clip(upper_bound=0).alias(line.column("cut")) for line in lines
    )
    rows = rows.with_columns(
        pl.sum_horizontal(line.column(what) for line in lines if line.axis == axis for what in ("points", "cut")).alias(
            f"sum {axis}"
        )
        for axis in AXES
    ).with_columns(pl.col(f"sum {axis}").clip(0, 100).alias(axis) for axis in AXES)
    texts = [
        text.alias(f"text {position}")
        for position, text in enumerate(
            text for axis in AXES for text in (*(_entries(x) for x in lines if x.axis == axis), _bounds(axis))
        )
    ]
    parts = rows.select(texts).select(pl.lit("[") + pl.concat_str(pl.all()).str.strip_suffix(",") + pl.lit("]"))
    return rows.select("fit", "opportunity", _tier(tiers).alias("tier"), score_parts=parts.to_series())


def _matched(rows: pl.DataFrame, lines: list[_Line]) -> pl.DataFrame:
    """Which parts match, which groups are unknown (neither ever null), and the values as JSON."""
    # Conditions that say the same have equal trees: each is evaluated once.
    distinct = {condition.tree: condition for line in lines for condition in line.conditions}
    met = {tree: f"met {position}" for position, tree in enumerate(distinct)}
    found = rows.select(
        *(condition.polars().fill_null(value=False).alias(met[tree]) for tree, condition in distinct.items()),
        *(pl.all_horizontal(c.unknown() for c in line.conditions).alias(line.column("unknown")) for line in lines),
        *(
            _evidence(names).alias(_evidence_column(names))
            for names in {tuple(sorted(c.columns)) for c in distinct.values()}
        ),
    )
    return found.with_columns(
        (pl.col(met[condition.tree]) & ~pl.col(line.column("unknown"))).alias(line.column(f"hit {part}"))
        for line in lines
        for part, condition in enumerate(line.conditions)
    )


def _points(line: _Line) -> pl.Expr:
    """Points of a group before its cap."""
    parts = (
        pl.when(line.column(f"hit {position}")).then(part.points).otherwise(0)
        for position, part in enumerate(line.group.parts)
    )
    unknown = pl.when(line.column("unknown")).then(line.group.unknown).otherwise(0)
    return pl.sum_horizontal(unknown, *parts).cast(pl.Int64)


def _value(name: str) -> pl.Expr:
    """A column's value as JSON; "null" where there is none."""
    value = pl.col(name)
    match LEAD_COLUMNS[name].kind:
        case Kind.NUMBER | Kind.FLAG:
            text = value.cast(pl.String)
        case Kind.AMOUNT:
            text = pl.when(value.is_finite()).then(value.cast(pl.String))
        case _:
            text = pl.lit('"') + value.cast(pl.String).str.replace_many(ESCAPES) + pl.lit('"')
    return text.fill_null("null")


def _evidence(names: tuple[str, ...]) -> pl.Expr:
    """What a part looks at as JSON, and the end of its entry, so that parts with the same columns share both."""
    first, *others = (_value(name) for name in names)
    if not others:
        return first + pl.lit("],")
    listed = pl.lit("[") + first
    for other in others:
        listed = listed + pl.lit(",") + other
    return listed + pl.lit("]],")


def _evidence_column(names: Iterable[str]) -> str:
    return f"evidence {' '.join(sorted(names))}"


def _entries(line: _Line) -> pl.Expr:
    """The entries of a group, a comma after each; empty where there is none."""
    head = f'["{line.axis}","{line.name}",'
    unknown = pl.lit(f'{head}"unknown",{line.group.unknown},null],')
    cut = pl.col(line.column("cut"))
    # `+` with literals is several times faster than concat_str here, and null passes through to be left out.
    return pl.concat_str(
        pl.when(line.column("unknown")).then(unknown),
        *(
            pl.lit(f"{head}{position},{line.group.parts[position].points},")
            + pl.when(line.column(f"hit {position}")).then(_evidence_column(condition.columns))
            for position, condition in enumerate(line.conditions)
        ),
        pl.when(cut < 0).then(pl.lit(f'{head}"cap",') + cut.cast(pl.String) + pl.lit(",null],")),
        ignore_nulls=True,
    )


def _bounds(axis: str) -> pl.Expr:
    moved = pl.col(axis) - pl.col(f"sum {axis}")
    entry = pl.lit(f'["{axis}",null,"bounds",') + moved.cast(pl.String) + pl.lit(",null],")
    return pl.when(moved != 0).then(entry).otherwise(pl.lit(""))


def _tier(tiers: Tiers) -> pl.Expr:
    def level(axis: str, high: int, medium: int) -> pl.Expr:
        return pl.when(pl.col(axis) >= high).then(0).when(pl.col(axis) >= medium).then(1).otherwise(2)

    cell = level("fit", *tiers.fit) * 3 + level("opportunity", *tiers.opportunity)
    cells = [tier for row in tiers.table for tier in row]
    return cell.replace_strict(range(9), cells, return_dtype=pl.String)


def explain_parts(score_parts: str, icp: Icp, lead: Mapping[str, Any] | None = None) -> list[PartLine]:
    """The parts of a score by name, in the scorecard's order, one line at least for each group.

    Args:
        score_parts: As `score` made it.
        icp: The scorecard that made it.
        lead: Values of the lead by column, shown for groups of which no part matched.

    Raises:
        InvalidInput: The parts are not of this scorecard.
    """
    entries: dict[tuple[str, str | None], list[tuple[str | int, int, Any]]] = {}
    for axis, group, part, points, evidence in json.loads(score_parts):
        entries.setdefault((axis, group), []).append((part, points, evidence))
    explained: list[PartLine] = []
    for axis in AXES:
        for line in _lines(icp, axis):
            found = [_explained(line, *entry) for entry in entries.pop((axis, line.name), ())]
            values = [lead.get(name) for name in line.looks_at] if lead else None
            explained += found or [PartLine(axis, line.name, "no part matched", 0, _shown(line.looks_at, values))]
        for _, points, _ in entries.pop((axis, None), ()):
            explained.append(PartLine(axis, None, "bounds", points, "from 0 to 100"))
    if entries:
        raise _foreign(", ".join(f"{axis}.{group}" for axis, group in entries))
    return explained


def _explained(line: _Line, part: str | int, points: int, evidence: Any) -> PartLine:
    if part == "unknown":
        return PartLine(line.axis, line.name, part, points, _shown(line.looks_at, [None] * len(line.looks_at)))
    if part == "cap":
        return PartLine(line.axis, line.name, part, points, f"at most {line.group.cap}")
    if not isinstance(part, int) or part >= len(line.conditions):
        raise _foreign(f"part {part} of {line.axis}.{line.name}")
    columns = sorted(line.conditions[part].columns)
    values = evidence if len(columns) > 1 else [evidence]
    return PartLine(line.axis, line.name, line.group.parts[part].name, points, _shown(columns, values))


def _shown(columns: list[str], values: list[Any] | None) -> str:
    """`employees=120, stage unknown`; empty without values."""
    shown = []
    for column, value in zip(columns, values or [], strict=bool(values)):
        if value is None:
            shown.append(f"{column} unknown")
        elif LEAD_COLUMNS[column].kind is Kind.TAGS:
            shown.append(f"{column}={value.strip('|')}")
        elif isinstance(value, float) and value.is_integer():
            shown.append(f"{column}={int(value)}")
        else:
            shown.append(f"{column}={value}")
    return ", ".join(shown)


def _foreign(what: str) -> InvalidInput:
    return InvalidInput(
        f"score_parts names {what}, which this scorecard lacks.",
        hint="Explain a score with the version of the campaign that made it.",
    )
