"""Options read in this process, and the plan of them: what `--list-cases` prints, without a process of its own."""

from types import SimpleNamespace

import pytest

from eagerbench.case import Case
from eagerbench.fixtures import options, usage
from eagerbench.plan import plan
from eagerbench.selection import Selection


def read(list_cases: bool = True, **given: str | list[str]) -> Selection:
    """The selection of a command line with these options."""
    parser = pytest.Parser(_ispytest=True)
    options.add_options(parser)
    line = [f"--{name.replace('_', '-')}={value}" for name, values in given.items()
            for value in (values if isinstance(values, list) else [values])]
    with usage.one_line():
        return options.read_selection(SimpleNamespace(option=parser.parse([*line, *["--list-cases"] * list_cases])))


def planned(**given: str | list[str]) -> list[Case]:
    """Every case of these options, those that cannot run too."""
    return plan(read(**given))
