"""What gradients must be exactly, whatever the data and also during training: to 1e-12 in float64, of the norms.

No reference takes part: each is an identity of calculus, so a mistake that all backends shared would show.
"""

import math

import numpy as np
import pytest

from harness.problems import task as tasks
from harness.spec.activations import LeakyRelu, Linear, Relu, Sigmoid, Tanh
from harness.spec.cell import Budget
from harness.spec.initialisations import Orthogonal, Scaled
from harness.spec.layers import (
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    LayerNorm,
    MaxPool,
    Reshape,
    SimpleRNN,
)
from harness.spec.losses import CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.problem import DataSet, Network, Quadratic, RandomGradients
from harness.spec.recipe import GlobalNorm, PerTensor, Recipe

DIGITS = DataSet("digits", training=96)
HE = Scaled("he", "normal")
ROUNDING = 1e-12
BATCH = Budget(steps=12, batch=16)
ALONE = Budget(steps=1, batch=1)
STEP = Recipe(SGD(lr=1.0))


def inner(w, g):
    """⟨w, g⟩ over the norms' product: a cosine."""
    return float(np.sum(w * g) / (np.linalg.norm(w) * np.linalg.norm(g)))


HOMOGENEOUS = {
    "dense": (Dense(24, False), Relu(), Dense(16, False), LeakyRelu(0.1), Dense(12, False), Linear(), Dense(10, False)),
    "convolutions": (
        Reshape((8, 8, 1)),
        Conv2D(4, padding="same", bias=False),
        Relu(),
        MaxPool(),
        Conv2D(3, (2, 2), bias=False),
        LeakyRelu(0.3),
        AveragePool((2, 2), (1, 1)),
        Flatten(),
        Dense(10, False),
    ),
}


@pytest.mark.parametrize("kind", ["dense", "convolutions"])
def test_homogeneous_layers_share_one_inner_product(make, kind):
    """f(…, aW, …) = a·f, so by Euler ⟨W, ∂L/∂W⟩ = Σ z·∂L/∂z for each layer, z the outputs: before and in training."""
    problem = Network(DIGITS, HOMOGENEOUS[kind], CrossEntropy(), HE)
    trainer, _, order = make(problem, Recipe(Momentum(lr=0.05)), BATCH)
    for rows in (order[:1], order[1:]):
        w, g = trainer.parameters(), trainer.gradients(rows[0])
        scale = max(np.linalg.norm(w[name]) * np.linalg.norm(g[name]) for name in g)
        products = [float(np.sum(w[name] * g[name])) for name in g]
        assert np.ptp(products) <= ROUNDING * scale
        if kind == "dense":
            assert abs(products[0] - of_outputs(problem, w, rows[0])) <= ROUNDING * scale
        assert abs(products[0]) > 1e-3 * scale  # or 0 = 0 would be shown
        trainer.train(rows)


def of_outputs(problem, w, row):
    """Σ z·∂L/∂z of the dense network, in NumPy."""
    part = tasks.make(problem).parts["training"]
    z = part.x[row]
    for name, slope in (("dense1", 0.0), ("dense2", 0.1), ("dense3", 1.0), ("dense4", 1.0)):
        z = z @ w[f"{name}.weight"]
        z = np.where(z > 0, z, slope * z)
    shares = np.exp(z - z.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return float(np.sum(z * (shares - np.eye(10)[part.y[row]]))) / len(row)


@pytest.mark.parametrize("norm", [BatchNorm(eps=1e-30), LayerNorm(eps=1e-30)], ids=["batch", "layer"])
def test_a_weight_before_a_norm_is_orthogonal_to_its_gradient(make, norm):
    """Its length changes nothing, so no gradient lies along it, and a plain step can but make it longer: Pythagoras."""
    problem = Network(DIGITS, (Dense(12, False), norm, Tanh(), Dense(10)), CrossEntropy(), HE)
    trainer, _, order = make(problem, STEP, BATCH)
    for row in order[:3]:
        w, g = trainer.parameters()["dense1.weight"], np.array(trainer.gradients(row)["dense1.weight"])
        assert abs(inner(w, g)) <= ROUNDING
        trainer.train(row[None])
        grown = np.sum(trainer.parameters()["dense1.weight"] ** 2)
        assert abs(grown - np.sum(w**2) - np.sum(g**2)) <= ROUNDING * grown


def test_a_batch_norms_epsilon_leaves_a_share_of_the_scale_along_a_weight(make):
    """With ε, per unit: ⟨w, ∂L/∂w⟩ = s·∂L/∂s·ε/(v + ε), s the scale, v the variance over the batch.

    For w → aw makes of x̂ = (x − μ)/√(v + ε), at a = 1, the change x̂·ε/(v + ε) da, as if s had changed by that share.
    """
    eps = 0.1
    problem = Network(DIGITS, (Dense(12, False), BatchNorm(eps=eps), Tanh(), Dense(10)), CrossEntropy(), HE)
    trainer, _, order = make(problem, STEP, BATCH)
    row = order[0]
    w, g = trainer.parameters(), trainer.gradients(row)
    v = np.var(tasks.make(problem).parts["training"].x[row] @ w["dense1.weight"], axis=0)
    along = np.sum(w["dense1.weight"] * g["dense1.weight"], axis=0)
    left = w["batch_norm1.scale"] * g["batch_norm1.scale"] * eps / (v + eps)
    size = np.linalg.norm(w["dense1.weight"], axis=0) * np.linalg.norm(g["dense1.weight"], axis=0)
    assert np.all(np.abs(along - left) <= ROUNDING * size)
    assert np.max(np.abs(left) / size) > 1e-4


def test_the_gradients_of_a_samples_logits_sum_to_zero(make):
    """Adding the same to all logits changes no softmax. A bias behind the last layer has the logits' gradient."""
    trainer, _, _ = make(Network(DIGITS, (Dense(10),), CrossEntropy()), STEP, ALONE)
    for sample in range(4):
        g = trainer.gradients(np.array([sample], np.int32))["dense1.bias"]
        assert abs(g.sum()) <= ROUNDING * np.abs(g).sum()


def test_an_output_layer_of_zeros_is_ignorant(make):
    """All classes are as likely: the loss is ln C. And nothing is passed back through it."""
    trainer, start, order = make(Network(DIGITS, (Dense(8), Tanh(), Dense(10)), CrossEntropy()), STEP, BATCH)
    zeros = np.zeros_like(start["dense2.weight"])
    trainer.reset({**start, "dense2.weight": zeros})
    assert abs(trainer.evaluate("training").loss - math.log(10)) <= ROUNDING
    g = trainer.gradients(order[0])
    assert not g["dense1.weight"].any()
    assert g["dense2.weight"].any()


def test_isometric_layers_keep_a_gradients_norm(make):
    """‖∂L/∂W‖ = ‖x‖‖δ‖ of one sample: orthogonal linear layers change neither."""
    model = (Dense(64, False),) * 20
    trainer, _, _ = make(Network(DIGITS, model, CrossEntropy(), Orthogonal()), STEP, ALONE)
    norms = [np.linalg.norm(g) for g in trainer.gradients(np.array([0], np.int32)).values()]
    assert np.ptp(norms) <= ROUNDING * norms[0]


@pytest.fixture(scope="session")
def pulse(tmp_path_factory):
    """Sequences of 40 times and 3 features, all 0 but at the first time, where they are above 0."""
    x = np.zeros((30, 40, 3))
    x[:, 0] = np.random.default_rng(0).uniform(0.5, 1.5, (30, 3))
    path = tmp_path_factory.mktemp("pulse") / "pulse.npz"
    np.savez(path, x=x, y=np.arange(30) % 4)
    return DataSet(str(path), scaling="none")


def test_a_linear_rnn_multiplies_a_gradient_by_its_matrix_at_each_time(make, pulse):
    """States are positive, so ReLU is linear; U = ρQ, Q a cycle of all units: δ₀ = (ρQ)^(T − 1)δ_T, and so

    ‖δ₀‖ = ρ^(T − 1)‖δ_T‖ (Pascanu et al. 2013). ∂L/∂W = x₀δ₀ᵀ, and δ_T = V·∂L/∂b of the dense layer xV + b behind it.
    """
    problem = Network(pulse, (SimpleRNN(7, "relu"), Dense(4)), CrossEntropy())
    trainer, start, _ = make(problem, STEP, ALONE)
    x = tasks.make(problem).parts["training"].x[0, 0]
    for radius in (0.9, 1.1):
        matrix = radius * np.roll(np.eye(7), 1, axis=1)
        w = {**start, "rnn1.recurrent": matrix, "rnn1.weight": np.abs(start["rnn1.weight"]) + 0.1}
        trainer.reset(w)
        g = trainer.gradients(np.array([0], np.int32))
        last = w["dense1.weight"] @ g["dense1.bias"]
        first = np.linalg.matrix_power(matrix, 39) @ last
        expected = np.outer(x, first)
        assert np.linalg.norm(g["rnn1.weight"] - expected) <= ROUNDING * np.linalg.norm(expected)
        assert abs(np.linalg.norm(first) / np.linalg.norm(last) / radius**39 - 1) <= ROUNDING


def test_a_chain_of_sigmoids_in_closed_form(make):
    """∂L/∂w_l = 2(ŷ − y)·h_{l−1}·σ'(z_l)·Π_{k>l} w_kσ'(z_k), where each σ' is ¼ at most."""
    layers = 8
    problem = Network(DataSet("line"), (Dense(1), Sigmoid()) * layers, MeanSquaredError())
    trainer, start, _ = make(problem, STEP, ALONE)
    w = {name: np.full_like(value, 0.3 if name.endswith("bias") else 2.5) for name, value in start.items()}
    trainer.reset(w)
    (h,), (y,) = (values[0] for values in tasks.make(problem).parts["training"])
    states = [h]
    for _ in range(layers):
        states.append(1 / (1 + math.exp(-(2.5 * states[-1] + 0.3))))
    back, expected = 2 * (states[-1] - y), {}
    for layer in reversed(range(layers)):
        slope = states[layer + 1] * (1 - states[layer + 1])
        assert slope <= 0.25
        expected[f"dense{layer + 1}.weight"] = back * slope * states[layer]
        expected[f"dense{layer + 1}.bias"] = back * slope
        back *= slope * 2.5
    g = trainer.gradients(np.array([0], np.int32))
    assert all(abs(g[name].item() / value - 1) <= ROUNDING for name, value in expected.items())


@pytest.mark.parametrize("share", [0.1, 0.99, 1.01])
def test_gradient_descent_on_a_quadratic_is_a_power(make, share):
    """Each step multiplies the error along an eigenvector by 1 − ηλ: it falls where η < 2/λ, and else grows."""
    problem = Quadratic(condition=50.0, dimension=5)
    rate = share * 2 / 50.0
    trainer, _, order = make(problem, Recipe(SGD(lr=rate)), Budget(steps=40, batch=1))
    trainer.train(order)
    factors = 1 - rate * np.geomspace(1, 50, 5)
    x = trainer.parameters()["x"]
    assert np.all(np.abs(x / factors**40 - 1) <= ROUNDING)
    assert (abs(x[-1]) > 1) == (share > 1)


@pytest.mark.parametrize("clip", [GlobalNorm(6.0), PerTensor(3.0)], ids=["global_norm", "per_tensor"])
def test_a_norm_clip_shortens_and_turns_nothing(make, clip):
    """Of gradients that are given: ‖Δ‖ = min(‖g‖, c) at rate 1, along g; so often as ‖g‖ > c."""
    problem = RandomGradients()
    trainer, _, order = make(problem, Recipe(SGD(lr=1.0), clip), Budget(steps=24, batch=1))
    x = tasks.make(problem).parts["training"].x
    clipped = []
    for row in order:
        given = {"weight": x[row[0]][:24].reshape(6, 4), "bias": x[row[0]][24:]}
        whole = isinstance(clip, GlobalNorm)
        before = trainer.parameters()
        steps = trainer.train(row[None])
        after = trainer.parameters()
        for group in [list(given)] if whole else [[name] for name in given]:
            g = np.concatenate([given[name].ravel() for name in group])
            step = np.concatenate([(before[name] - after[name]).ravel() for name in group])
            norm = np.linalg.norm(g)
            assert abs(np.linalg.norm(step) - min(norm, clip.c)) <= ROUNDING * clip.c
            assert inner(step, g) >= 1 - ROUNDING
            clipped.append(norm > clip.c)
        seen = [np.linalg.norm(given[name]) for name in given]
        assert np.allclose(steps.norms[0], seen, rtol=ROUNDING)  # before the clip
    assert 0.05 < np.mean(clipped) < 0.95


def test_units_that_never_fire_get_no_gradient_and_others_do(make):
    """A bias below −max xw over the data kills a ReLU, one of 40 saturates a tanh: as many as planted, and no more."""
    problem = Network(DIGITS, (Dense(9), Relu(), Dense(7), Tanh(), Dense(10)), CrossEntropy(), HE)
    trainer, start, _ = make(problem, STEP, Budget(steps=1, batch="full"))
    task = tasks.make(problem)
    reach = (task.parts["training"].x @ start["dense1.weight"]).max(axis=0)
    dead, saturated = [1, 4, 8], [2, 5]
    first, second = start["dense1.bias"].copy(), start["dense2.bias"].copy()
    first[dead] = -reach[dead] - 1
    second[saturated] = 60.0
    trainer.reset({**start, "dense1.bias": first, "dense2.bias": second})
    g = trainer.gradients(np.arange(task.samples, dtype=np.int32))
    into, out_of = np.linalg.norm(g["dense1.weight"], axis=0), np.linalg.norm(g["dense2.weight"], axis=1)
    assert np.flatnonzero(into == 0).tolist() == np.flatnonzero(out_of == 0).tolist() == dead
    assert np.flatnonzero(g["dense1.bias"] == 0).tolist() == dead
    still = np.linalg.norm(g["dense2.weight"], axis=0)
    assert np.flatnonzero(still < ROUNDING * still.max()).tolist() == saturated


def test_updates_over_weights(make):
    """SGD moves a tensor by η‖g‖; Adam at first moves each number by η, so a tensor of n by η√n, as ε → 0."""
    data = DataSet("regression")
    problem = Network(data, (Dense(6), Tanh(), Dense(2)), MeanSquaredError())
    for recipe in (Recipe(SGD(lr=0.5)), Recipe(Adam(lr=0.5, eps=1e-30))):
        trainer, w, order = make(problem, recipe, Budget(steps=1, batch=32))
        g = {name: np.linalg.norm(value) for name, value in trainer.gradients(order[0]).items()}
        trainer.train(order)
        after = trainer.parameters()
        for name in g:
            moved = np.linalg.norm(after[name] - w[name])
            expected = 0.5 * g[name] if isinstance(recipe.optimizer, SGD) else 0.5 * math.sqrt(w[name].size)
            assert abs(moved - expected) <= ROUNDING * max(expected, np.linalg.norm(w[name]))


def test_linear_layers_in_closed_form(make):
    """L = mean (xUV + b − y)²: ∂L/∂U = (2/n)xᵀrVᵀ, ∂L/∂V = (2/n)Uᵀxᵀr, ∂L/∂b = (2/n)Σr over all terms' number n."""
    problem = Network(DataSet("regression"), (Dense(6, False), Linear(), Dense(2)), MeanSquaredError())
    trainer, w, order = make(problem, STEP, Budget(steps=1, batch=32))
    x, y = (values[order[0]] for values in tasks.make(problem).parts["training"])
    u, v = w["dense1.weight"], w["dense2.weight"]
    r = 2 * (x @ u @ v + w["dense2.bias"] - y) / y.size
    expected = {"dense1.weight": x.T @ r @ v.T, "dense2.weight": (x @ u).T @ r, "dense2.bias": r.sum(axis=0)}
    g = trainer.gradients(order[0])
    assert g.keys() == expected.keys()
    assert all(np.linalg.norm(g[n] - e) <= ROUNDING * np.linalg.norm(e) for n, e in expected.items())
