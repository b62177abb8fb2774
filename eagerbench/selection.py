from eagerbench.fixtures.options import Selection  # noqa: F401
