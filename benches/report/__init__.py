"""scripts/bench: runs the contestants in turn, and writes what it measured as a page, a plot and a file of raw results."""
