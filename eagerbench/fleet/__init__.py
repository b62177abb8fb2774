"""The same suite on several machines, side by side."""
