"""Runs of which it is known whether something is wrong with them, and what: what a diagnosis is judged by.

Pairs are drawn by a seed: a network that should train, and the same with one fault. Which of them count is decided by
what they did, never by what was said of them (``outcome``). Verdicts were tuned on the part "tuning": perceptrons and
convolutional networks of even depth. "unseen" are odd depths, all recurrent networks and transformers, and other seeds.
"""
