"""The framework-free half of gradgauge: what to run, how to measure it, how to judge it."""
