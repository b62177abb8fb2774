"""Everything that reads saved benchmark JSON. Imports neither torch nor fixtures."""
