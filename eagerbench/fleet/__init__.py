"""Compares results of several machines."""
