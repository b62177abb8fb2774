"""Side by side with other tools: their number, ours for the same call, and a bare loop, process by process in turns."""
