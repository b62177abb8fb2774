"""The contents of the artifact store, which of them are stale, and pruning. Nothing here imports torch."""
