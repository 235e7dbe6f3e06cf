"""The named catalogue, its data, and the start that every backend shares."""
