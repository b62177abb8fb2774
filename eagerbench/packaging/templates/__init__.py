"""The parts that a package's `load.py` is put together of: start, inputs, runtime, main. Each is read, and checked, as
Python; none is imported here."""
