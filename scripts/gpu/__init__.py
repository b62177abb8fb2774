"""A GPU machine in one command: `scripts/gpu.sh OUT_DIR` (docs/gpu.md). Imports nothing but the standard library and
`packaging` until a step runs, so that it can say what an interpreter lacks."""
