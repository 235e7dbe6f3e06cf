"""Gradient health. Here the theory that verdicts are held against: what a network at its start should do, and why.

Four ideas carry it. A batch on its way through weights that are not yet drawn is known by one matrix of second moments
over its samples and places, and so are the gradients on their way back (``field``). Each layer does something to both
(``linear``, ``activation``, ``normalisation``, …), by a closed form, a series or draws of its random inputs, so that
``gains.expected`` predicts the norm of every weight's gradient, in absolute terms. What a width leaves to chance is a
sum of small shocks (``spread``). And what is not known is NaN, with its reason.

Over the catalogue, 12 draws of each network on batches of 32, ln ‖∂L/∂W‖² of 1824 weights lay more than 2 spreads from
what is expected in 3 % of cases, more than 3 in 0.1 %, more than 4 in none.

Beside it stand chance death (``dead``), noise (``noise``), stability limits (``stability``) and the reach of a floating
point format (``precision``).
"""
