"""The take-home package of a variant: artifact, loader, outputs to check by, requirements; nothing of this project."""
