"""Ratios over time: a folder of reduced runs, series of them, and where they changed."""
