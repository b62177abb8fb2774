"""Runners in C++: they are built from the runtimes that are installed, and called over a pipe (docs/cpp.md)."""
