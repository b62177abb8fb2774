"""Wires fixtures/ into pytest: command-line options, parametrisation, fixtures, reports."""

pytest_plugins = ("eagerbench.fixtures.plugin",)
