"""How every page of this project looks, and the one file that it becomes: styles, scripts and data are in it."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from eagerbench.results.report.drawing import Figure
from eagerbench.shown import visible

_HERE = "eagerbench.results.report"
# What ends a script, or a line of one, inside of a text.
_IN_SCRIPT = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def render(template: str, figures: Sequence[Figure] = (), scripts: Sequence[str] = (),
           data: Mapping[str, Any] | None = None, details: Mapping[str, Any] | None = None, package: str = _HERE,
           **values: Any) -> str:
    """A page.

    Args:
        template: its file in `package`; it may extend and import those of this package.
        figures: drawn by plotly, which is in the page where there are any, or `data`.
        scripts: files of this package that run besides `plots.js`.
        data: what they read, ready for JSON; `details`: what they read when they are asked for it.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_shown,
                                     loader=jinja2.FunctionLoader(lambda name: _text(name, package)))
    environment.globals["asset"] = lambda name: Markup(_text(name, package))
    drawn = {"figures": {one.key: one.json for one in figures}, **(data or {})}
    wanted = bool(figures) or data is not None
    return environment.get_template(template).render(
        data=Markup(in_script(drawn)) if wanted else "", plotly=Markup(plotly()) if wanted else "",
        details=Markup(in_script(details)) if details else "", scripts=["plots.js", *scripts], figures=figures,
        **values)


def in_script(data: Any) -> str:
    """JSON that nothing in it can lead out of a `<script>`."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPT)


def plotly() -> str:
    """Plotly's own script, its bundle of scatter and bar plots: 1.2 MB, plotly.js-basic-dist-min 4.1.1 of npm (MIT).

    That of plotly's Python package is 4.8 MB, and takes a browser three quarters of a second more to start.
    """
    return files(_HERE).joinpath("plotly-basic.min.js").read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def _text(name: str, package: str) -> str | None:
    for place in dict.fromkeys((package, _HERE)):
        file = files(place).joinpath(name)
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return None
