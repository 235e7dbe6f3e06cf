"""Gradient health. Here the theory that verdicts are held against: what a network at its start should do, and why."""
