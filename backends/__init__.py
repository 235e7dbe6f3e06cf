"""The same protocol, once for each framework: the same file names in each folder."""
