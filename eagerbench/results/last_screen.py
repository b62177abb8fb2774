"""The last screen of a session: which variant is fastest here, what it costs, what did not run and why, what is next.

At most 30 lines of at most 100 columns. A narrower terminal has fewer columns of the table; names are never cut.
"""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len

from eagerbench.results import reasons
from eagerbench.results.headline import ENOUGH_PAIRS, Headline
from eagerbench.results.numbers import bounds, mib, milliseconds, percent, times
from eagerbench.results.recommended import Take
from eagerbench.shown import count, one_line

MOST_LINES, WIDEST = 30, 100
_ROOM_FOR_A_COMMAND = 60  # columns; in fewer it takes lines that the tables need
_EAGER = "eager"
_LEGEND = ("* fastest of its class, by the low end of its 95 % interval; = a tie: its interval reaches the winner's, "
           "or it has none; error: difference from eager's output, divided by its size")
_OF_CLASSES = ". A class only finds broken builds: the quality experiment measures what a variant costs"


@dataclass(frozen=True)
class Line:
    """A line, and how pytest's terminal writer marks it up: bold, green, yellow, or not at all."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Session:
    """What the last lines tell beside the results.

    Attributes:
        saved: lines that say where the results are, or how to save them.
        summary: the command that shows all tables; empty when nothing is saved.
        time_budget: seconds a case, as selected; None when it is not known.
        take: what to take for each model, by what is allowed.
        recommend: the command that decides under limits of one's own; empty when nothing is saved.
    """

    saved: Sequence[str] = ()
    summary: str = ""
    time_budget: float | None = None
    take: Mapping[str, Sequence[Take]] = field(default_factory=dict)
    recommend: str = ""


def lines(headlines: Sequence[Headline], cells: Sequence[Mapping[str, str]], session: Session,
          width: int = WIDEST) -> list[Line]:
    """The whole screen.

    Args:
        headlines: of every record, unusable ones included.
        cells: `eagerbench.cells` of the file.
        width: columns of the terminal; more than 100 are not used.
    """
    width = max(20, min(width, WIDEST))
    usable = [headline for headline in headlines if not headline.unusable]
    rows = [headline for headline in usable if not headline.number and headline.speedup is not None]
    tables = _tables(rows)
    foot = [*_others([headline for headline in usable if headline.number], width),
            *(_legend(tables, session, width) if tables else []), *_not_timed(cells, width),
            *(Line(text) for said in session.saved for text in wrapped(said, width)), *_take(session, width)]
    return [*_fitting(tables, MOST_LINES - len(foot), width, session.summary), *foot]


@dataclass(frozen=True)
class _Class:
    """Variants of one tolerance class on one workload, the fastest first."""

    name: str
    rows: list[Headline]

    @property
    def ties(self) -> list[Headline]:
        best = self.rows[0]
        return [row for row in self.rows[1:] if None in (best.low, row.high) or row.high >= best.low]


@dataclass(frozen=True)
class _Table:
    title: str
    model: str
    eager_s: float
    classes: list[_Class]


def _tables(rows: Sequence[Headline]) -> list[_Table]:
    """One a model and workload. Eager against itself is a check of the method, not a candidate."""
    found = []
    for key in dict.fromkeys((row.model, row.device, row.place) for row in rows):
        here = [row for row in rows if (row.model, row.device, row.place) == key]
        eager = next((row.call_s for row in here if row.variant == _EAGER), here[0].call_s * here[0].speedup)
        ranked = [row for row in here if row.variant != _EAGER] or here
        classes = [_Class(name, sorted((row for row in ranked if row.tolerance == name),
                                       key=lambda row: (-row.floor, -row.speedup)))
                   for name in dict.fromkeys(row.tolerance for row in ranked)]
        model, device, place = key
        where = "" if device == "cpu" else f" on {device}"
        threads = f" · {count(here[0].threads, 'thread')}" if here[0].threads else ""
        found.append(_Table(f"{model}{where} · {place} · eager {milliseconds(eager)}{threads}", model, eager, classes))
    return found


def _fitting(tables: list[_Table], room: int, width: int, summary: str) -> list[Line]:
    """As much as there is room for: every table, one a model, or the fastest of each class."""
    if not tables:
        return []
    longest = {table.model: table for table in sorted(tables, key=lambda table: table.eager_s)}
    for chosen in (tables, [longest[model] for model in dict.fromkeys(table.model for table in tables)]):
        left = len(tables) - len(chosen)
        more = _rest(count(left, "more workload"), summary, width) if left else []
        shown = _shares(chosen, room - 1 - len(more))
        if shown is not None:
            return [*_drawn(chosen, shown, width), *more]
    sizes = [1 + len(table.classes) for table in chosen]
    fit = next((number for number in range(len(chosen), 0, -1) if sum(sizes[:number]) <= room - 3), 1)
    ones = [[1] * len(table.classes) for table in chosen[:fit]]
    more = _rest(count(len(chosen) - fit, "more model"), summary, width) if fit < len(chosen) else []
    return [*_drawn(chosen[:fit], ones, width, headings=False), *more]


def _rest(what: str, summary: str, width: int) -> list[Line]:
    return [Line(text) for text in wrapped(f"… {what}" + (f": {summary}" if summary else ""), width)]


def _shares(tables: list[_Table], room: int) -> list[list[int]] | None:
    """How many rows each class of each table gets, by turns; None when there is not one for each."""
    shown = [[1] * len(table.classes) for table in tables]
    left = room - sum(1 + 2 * len(table.classes) for table in tables)
    if left < 0:
        return None
    places = [(table, index, len(of_class.rows)) for table, found in enumerate(tables)
              for index, of_class in enumerate(found.classes)]
    while left and (hungry := [place for place in places if shown[place[0]][place[1]] < place[2]]):
        for table, index, _ in hungry[:left]:
            shown[table][index] += 1
        left -= len(hungry[:left])
    return shown


_HEADER = ("variant", "time", "× eager", "95 %", "error", "size", "memory")
_DROPPED = (6, 5, 4, 3, 1)  # columns that a narrow terminal does without, the first ones first


def _drawn(tables: list[_Table], shown: list[list[int]], width: int, headings: bool = True) -> list[Line]:
    """Tables that share their columns."""
    chosen = [row for table, numbers in zip(tables, shown, strict=True)
              for of_class, number in zip(table.classes, numbers, strict=True) for row in of_class.rows[:number]]
    widths = [max(cell_len(text) for text in column) for column in zip(_HEADER, *map(_cells, chosen), strict=True)]
    columns = list(range(len(_HEADER)))
    for column in _DROPPED:
        if 2 + sum(widths[place] + 2 for place in columns) - 2 > width:
            columns.remove(column)
    header = [*_HEADER[:2], "×", *_HEADER[3:]] if columns == [0, 2] else _HEADER
    found = [Line(_aligned("", header, widths, columns), "bold")]
    for table, numbers in zip(tables, shown, strict=True):
        found += [Line(text, "bold") for text in flow("", table.title.split(" · "), width)]
        for of_class, number in zip(table.classes, numbers, strict=True):
            ties = of_class.ties
            if headings:
                found.append(Line(_heading(of_class, number, len(ties), width)))
            found += [Line(_aligned("*" if place == 0 else "=" if row in ties else "", _cells(row), widths, columns),
                           "green" if place == 0 else "") for place, row in enumerate(of_class.rows[:number])]
    return found


def _heading(of_class: _Class, number: int, ties: int, width: int) -> str:
    """`  quantised: 2 of 5, 1 tie`."""
    said = f"  {of_class.name}: " + (f"{number} of {len(of_class.rows)}" if number < len(of_class.rows)
                                     else count(number, "variant"))
    whole = said + (f", {count(ties, 'tie')} with the fastest" if ties else "")
    return whole if len(whole) <= width else said


def _cells(row: Headline) -> tuple[str, ...]:
    return (one_line(row.variant), milliseconds(row.call_s), times(row.speedup) + (" (!)" if row.few_pairs else ""),
            bounds(row.low, row.high).strip() or "–", percent(row.error), mib(row.artifact_bytes), mib(row.peak_bytes))


def _aligned(mark: str, cells: Sequence[str], widths: Sequence[int], columns: Sequence[int]) -> str:
    """The first column to the left, numbers to the right; `(!)` hangs over on the right of its number."""
    parts = []
    for column in columns:
        space = " " * (widths[column] - cell_len(cells[column]))
        parts.append(cells[column] + space if column in (0, 2) else space + cells[column])
    return f"{mark:<2}{'  '.join(parts)}".rstrip()


def _others(found: Sequence[Headline], width: int) -> list[Line]:
    """The best of every other experiment, in one flow."""
    parts = []
    several = len({headline.model for headline in found}) > 1
    for key in dict.fromkeys((headline.model, headline.experiment) for headline in found):
        here = [headline for headline in found if (headline.model, headline.experiment) == key]
        ranked = [headline for headline in here if headline.rank is not None]
        best = max(ranked or here, key=lambda headline: headline.rank or 0)
        model = f"{best.model} " if several else ""
        parts.append(f"{model}{best.experiment}: {best.variant}, {best.number}")
    return [Line(text) for text in flow("best of ", parts, width, most=5)] if parts else []


def _legend(tables: Sequence[_Table], session: Session, width: int) -> Iterator[Line]:
    yield from map(Line, wrapped(_LEGEND + (_OF_CLASSES if width >= _ROOM_FOR_A_COMMAND else ""), width))
    few = [row for table in tables for of_class in table.classes for row in of_class.rows if row.few_pairs]
    if few:
        pairs = min(row.pairs or 1 for row in few)
        budget = math.ceil(session.time_budget * (ENOUGH_PAIRS + 1) / pairs) if session.time_budget else "SECONDS"
        said = f"(!) fewer than {ENOUGH_PAIRS} pairs of turns: give --time-budget {budget}, and -k to run these alone"
        yield from (Line(text, "yellow") for text in wrapped(said, width))


def _take(session: Session, width: int) -> Iterator[Line]:
    """The recommendation, a line for each of what is allowed; the last lines, where eyes are."""
    narrow = width < _ROOM_FOR_A_COMMAND
    for allowed, parts in session.take.items():
        yield from (Line(text, "bold") for text in _took(allowed, parts, width, narrow))
    if session.take and session.recommend and not narrow:
        yield from map(Line, wrapped(f"within your own limits: {session.recommend}", width))


def _took(allowed: str, parts: Sequence[Take], width: int, narrow: bool) -> list[str]:
    """In one line, without the rest where that is too long; of the first model where there is little room."""
    if narrow:
        return flow(f"{allowed}: ", [parts[0].variant], width)
    names = [f"{part.model} {part.variant}{part.gain}" if len(parts) > 1 else part.variant + part.gain
             for part in parts]
    whole = [name + part.more for name, part in zip(names, parts, strict=True)]
    found = flow(f"take, {allowed}: ", whole, width)
    return found if len(found) == 1 else flow(f"take, {allowed}: ", names, width, most=2)


def _not_timed(cells: Sequence[Mapping[str, str]], width: int) -> Iterator[Line]:
    """Failures and disturbed cases first; then variants that ran nowhere, and not everywhere, by reason."""
    wrong = [cell for cell in cells if cell["status"] == "failed"]
    if wrong:
        names = [f"{cell['variant']} {cell['workload']}" for cell in wrong]
        yield from (Line(text, "red") for text in flow(f"failed ({len(wrong)}): ", names, width))
    disturbed = sum(cell["status"] == "unusable" for cell in cells)
    if disturbed:
        said = (f"{count(disturbed, 'case')} disturbed by other work, not in the tables: stop the other work, or give "
                "fewer --threads, and run again")
        yield from (Line(text, "yellow") for text in wrapped(said, width))
    ran = {cell["variant"] for cell in cells if cell["status"] in ("timed", "unusable", "failed")}
    skipped = [(cell["variant"], cell["reason"]) for cell in cells if cell["status"] == "skipped"]
    for said, found in (("not run (variants): ", [pair for pair in skipped if pair[0] not in ran]),
                        ("not everywhere: ", [pair for pair in skipped if pair[0] in ran])):
        groups = [group.text for group in reasons.grouped(found)]
        if groups:
            yield from map(Line, flow(said, groups, width, most=3 if "variants" in said else 2))


def flow(prefix: str, parts: Sequence[str], width: int, most: int = 4) -> list[str]:
    """Parts with ` · ` between them, broken there: in at most so many lines, `… and 3 more` for what has no room."""
    found, line = [], prefix
    for place, whole in enumerate(map(one_line, parts)):
        # A name stands in front and stays whole; what is said of it may be cut.
        part = textwrap.shorten(whole, width - 4, placeholder="…") if cell_len(whole) > width - 4 else whole
        joined = f"{line} · {part}" if place else line + part
        if cell_len(joined) <= _room(width, len(parts) - place, len(found) == most - 1) or not line:
            line = joined
            continue
        if len(found) == most - 1:
            return [*found, f"{line} · … and {len(parts) - place} more"]
        found.append(f"{line} ·" if place else line.rstrip())
        line = f"  {part}"
        if cell_len(line) > _room(width, len(parts) - place, len(found) == most - 1):
            return [*found, f"  … and {len(parts) - place} more"]
    return [*found, line]


def _room(width: int, left: int, last: bool) -> int:
    """Columns that a part may reach to: something may have to follow it."""
    return width if left == 1 else width - len(" · … and 99 more") if last else width - len(" ·")


def wrapped(text: str, width: int) -> list[str]:
    """A sentence broken at its spaces; a word, such as a path, stays whole."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
