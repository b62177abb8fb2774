"""The changes of a report as an Atom feed (RFC 4287): the same bytes of the same report, ids that stay."""

import uuid
from datetime import UTC, datetime
from xml.etree import ElementTree

from eagerbench.history import text
from eagerbench.history.entry import seconds
from eagerbench.history.report import Change, Report, StreamPart
from eagerbench.shown import visible

_ATOM = "http://www.w3.org/2005/Atom"
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "eagerbench-history")
MOST = 200  # entries, the newest


def atom(report: Report) -> str:
    """XML. An entry of a provisional change is updated when it is settled."""
    feed = ElementTree.Element("feed", xmlns=_ATOM)
    machines = " ".join(sorted({stream.kind for stream in report.streams}))
    _add(feed, "id", uuid.uuid5(_SPACE, machines).urn)
    _add(feed, "title", "eagerbench: changes of speed")
    _add(feed, "subtitle", text.headline(report))
    _add(feed, "updated", _time(report.newest))
    _add(ElementTree.SubElement(feed, "author"), "name", "eagerbench history")
    for stream, change in report.changes[:MOST]:
        _entry(feed, stream, change)
    ElementTree.indent(feed)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(feed, encoding="unicode")}\n'


def _entry(feed: ElementTree.Element, stream: StreamPart, change: Change) -> None:
    after = stream.runs[change.after]
    settled = stream.runs[min(change.after + 4, len(stream.runs) - 1)]
    made = ElementTree.SubElement(feed, "entry")
    _add(made, "id", uuid.uuid5(_SPACE, "\n".join((stream.kind, stream.anchor, change.bench, after.started))).urn)
    _add(made, "title", f"{change.bench}: {change.ratio:.3f}× ({text.state(change)})")
    _add(made, "updated", _time(settled.started))
    _add(made, "published", _time(after.started))
    lines = [f"{name}: {value}" for name, value in zip(text.HEADER, text.row(stream, change), strict=True) if name]
    lines += [f"machine: {stream.kind}, {stream.machine}", *(f"candidate cause: {line}" for line in change.causes)]
    _add(made, "content", "\n".join(map(visible, lines))).set("type", "text")


def _add(parent: ElementTree.Element, name: str, value: str) -> ElementTree.Element:
    found = ElementTree.SubElement(parent, name)
    found.text = value if name == "content" else visible(value)
    return found


def _time(started: str) -> str:
    return datetime.fromtimestamp(seconds(started), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
