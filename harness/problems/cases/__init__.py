"""The catalogue's cases, a file for each sort."""
