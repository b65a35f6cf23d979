"""Mutants of the gradient penalty, of conditions and of attribute tables, and what kills them.

As `test_mutations.py`, with a table of its own: what other engines and ports of WGAN-GP got
wrong, and what is easily mistaken in a derivative of a derivative.
"""

import pytest
from mutants import BATCHES, LAYERS, NETWORK, PLAIN, SHEET, mutant
from test_mutations import LONG, ROOT, copy_project, judging, run_checks

pytestmark = pytest.mark.host

PENALTY, ATTRIBUTES = "minigan/penalty.py", "minigan/data/attributes.py"
M7, M8 = "examples/wgan_gp.py", "examples/cgan.py"
DUEL, WORLDS = "minigan/study/duel.py", "minigan/study/worlds.py"

TESTS, EXAMPLES = "test_penalty.py", "test_wgan_examples.py"
NUMERIC = f"{TESTS}::test_the_gradient_is_the_derivative_of_the_penalty"
ORACLE = f"{TESTS}::test_against_first_order_passes_alone"
LINEAR = f"{TESTS}::test_of_a_linear_critic"
ONE_SIDED = f"{TESTS}::test_one_sided_forgives_gentle_slopes"
OWN_NORM = f"{TESTS}::test_each_sample_has_its_own_norm"
EPSILON = f"{TESTS}::test_interpolates_have_one_epsilon_a_sample"
PLANES = f"{TESTS}::test_conditions_are_neither_interpolated_nor_in_the_norm"
FINITE = f"{TESTS}::test_finite_where_the_slope_is_zero"
CRITICS_STEP = f"{EXAMPLES}::test_the_critics_step"
WAY_BACK = "test_condition.py::test_the_way_back"
GATE = "test_toy_2d.py::test_gate"
D_OF_A_DUEL = "test_duel.py::TestGradients::test_d_step"
BY_NAME = "test_data_attributes.py::test_labels_follow_the_names_and_not_the_order"

MUTANTS = [
    # The two sweeps
    mutant("the f'' term of Tanh is dropped", PLAIN,
           "return dx_bar * slope, dx_bar * dy * slope * (-2 * y)", "return dx_bar * slope, None",
           f"{ORACLE}[dense, smooth-True]"),
    mutant("the f'' term has the other sign", PLAIN,
           "dx_bar * dy * slope * (-2 * y)", "dx_bar * dy * slope * (2 * y)",
           f"{NUMERIC}[dense, smooth-gradient penalty-True]"),
    mutant("nothing is sent down", NETWORK,
           "if x_bar is not None:", "if False:", f"{ORACLE}[conv, smooth, nested-True]"),
    mutant("Dropout draws another mask on the way up", LAYERS,
           "return self.backward(dx_bar, cache), None", "return self.forward(dx_bar)[0], None",
           "test_layers.py::test_gradients_on_vectors_and_images"),
    mutant("Gate draws another mask on the way up", LAYERS,
           "return self.kernels[type(dy)].gate_backward(dx_bar, cache), None",
           "return self.forward(dx_bar)[0], None",
           f"{NUMERIC}[conv, leaky-gradient penalty-True]"),
    mutant("no curvature in BatchNorm", PLAIN,
           "jacobian(q, h, scale, axes, across) - scale * h * mean_of(dx_bar * dx, axes, across)",
           "0 * q",
           f"{ORACLE}[dense, batch-True]"),
    mutant("a convolution's double backward leaves its weights out", LAYERS,
           "conv_y_dw(dx_bar, dy, self.weight, g)\n"
           '        self.add_grad("weight_grad", dw)',
           "conv_y_dw(dx_bar, dy, self.weight, g)",
           f"{NUMERIC}[conv, leaky-R1-False]"),
    # The penalty
    mutant("one epsilon for the batch", PENALTY,
           "one_a_sample = (len(real),) + (1,)", "one_a_sample = (1,) + (1,)", EPSILON),
    mutant("a normal epsilon", PENALTY, "random.uniform,", "random.normal,", EPSILON),
    mutant("one epsilon for all steps", PENALTY, "step=random.numbered(step)", "step=0", EPSILON),
    mutant("slopes at the generated samples alone", PLAIN,
           "fake + epsilon * (real - fake)", "fake + 0 * epsilon", EPSILON),
    mutant("one norm for the batch", PLAIN,
           "axis=tuple(range(1, g.ndim)), keepdims", "keepdims", OWN_NORM),
    mutant("one norm for each pixel", PLAIN, "axis=tuple(range(1, g.ndim))", "axis=-1", OWN_NORM),
    mutant("nothing under the root", PLAIN, "eps=1e-12", "eps=0.0", FINITE,
           fails_with="RuntimeWarning"),  # 0 / 0, of which the tests make an error
    mutant("the gradient points up", PLAIN,
           "2 * weight / len(g) * (excess", "-2 * weight / len(g) * (excess", LINEAR),
    mutant("the gradient is a sum over the batch", PLAIN,
           "2 * weight / len(g) * (excess", "2 * weight * (excess", LINEAR),
    mutant("the loss is a sum over the batch", PLAIN,
           "weight * (excess**2).mean()", "weight * (excess**2).sum()", LINEAR),
    mutant("the norm's own derivative is forgotten", PLAIN, "(excess / norm) * g", "excess * g",
           LINEAR),
    mutant("one-sided punishes both sides", PLAIN,
           "np.maximum(norm - 1, 0) if one_sided else norm - 1", "norm - 1", ONE_SIDED),
    mutant("R1 without its half", PLAIN,
           "return weight / 2 * squares", "return weight * squares", LINEAR),
    mutant("the scores' own gradient comes along", PENALTY,
           "cache, params=False, trace=trace", "cache, trace=trace",
           f"{NUMERIC}[dense, leaky-gradient penalty-True]"),
    mutant("the norm is that of the planes too", PENALTY,
           "loss_of_slope(g[..., : x.shape[-1]])", "loss_of_slope(g)", PLANES,
           more=((PENALTY, "g_bar = join(g_bar, xp.zeros_like(condition))", "pass"),)),
    mutant("clipping returns a copy", PLAIN, "-limit, limit, out=p)", "-limit, limit)",
           f"{TESTS}::test_clip_weights"),
    # The steps
    mutant("the penalty has a step of the optimizer of its own", M7,
           "loss, plain = penalty(C, real, fake, options, epsilon)\n",
           "loss, plain = penalty(C, real, fake, options, epsilon)\n"
           "    opt_c.step()\n    C.zero_grad()\n",
           CRITICS_STEP),
    mutant("the critic's weights are not clipped", M7, "if options.clip:\n        mg.penalty",
           "if False:\n        mg.penalty", f"{EXAMPLES}::test_clipping_keeps_all_weights_small"),
    mutant("the scores drift the faster", M7,
           "[d_real, d_fake]) + d_drift", "[d_real, d_fake]) - d_drift",
           f"{EXAMPLES}::test_the_critics_step[wgan_gp-changes3]"),
    mutant("the scores' mean square has the half of its gradient", M8,
           "2 * options.drift / len", "options.drift / len",
           f"{EXAMPLES}::test_the_critics_step[cgan-changes4]"),
    mutant("the penalty leaves the condition out", M8,
           "condition=code, **epsilon", "condition=0 * code, **epsilon",
           f"{EXAMPLES}::test_the_penalty_of_the_conditional_step_sees_the_labels"),
    mutant("G's gradient is that of the planes", M8,
           "dfake, _ = join_backward(C.backward(dscores, c_cache, params=False), COLOURS)",
           "dfake = C.backward(dscores, c_cache, params=False)[..., -COLOURS:]",
           f"{EXAMPLES}::test_the_generators_step[cgan]"),
    # The duel in the plane, where a broken gradient is seen to lose modes
    mutant("slopes are pushed away from 1", PLAIN,
           "2 * weight / len(g) * (excess", "-2 * weight / len(g) * (excess", GATE),
    mutant("G's gradient is mirrored in D", DUEL,
           "dfake = D.backward(dscores, d_cache, params=False)",
           "dfake = D.backward(dscores, d_cache, params=False)[:, ::-1]", GATE),
    mutant("the penalty's gradient is wiped out", DUEL,
           "            self.opt_d.step()\n",
           "            D.zero_grad()\n            self.opt_d.step()\n",
           f"{D_OF_A_DUEL}[wasserstein-wgan-gp]"),
    mutant("generated points up in D's step", DUEL,
           "loss(self.game.fake, fake_scores)", "loss(self.game.real, fake_scores)",
           "test_duel.py::test_the_reported_losses[hinge]"),
    mutant("good is within two standard deviations", WORLDS, "GOOD = 3.0", "GOOD = 2.0",
           "test_worlds.py::test_quality_by_hand"),
    # Conditions and attributes
    mutant("a plane's gradient is a mean", PLAIN,
           ".sum(axis=tuple(range(1, dy.ndim - 1)))", ".mean(axis=tuple(range(1, dy.ndim - 1)))",
           f"{WAY_BACK}[shape2]"),
    mutant("rows are matched by their order", ATTRIBUTES,
           "values.append(rows[row])", "values.append([*rows.values()][index])", BY_NAME),
    mutant("every label has a z of its own", SHEET, "labelled(z, xp", "labelled(z + k, xp",
           f"{EXAMPLES}::TestConditionalRuns::test_one_sheet_a_label_from_the_same_z"),
    mutant("labels stay where they were when images are shuffled", BATCHES,
           "one_hot(self.labels[chosen]", "one_hot(self.labels[: self.size]",
           f"{EXAMPLES}::TestConditionalRuns::test_batches_carry_their_labels"),
]  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A copy of the project without fault."""
    return copy_project(ROOT, tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def verdict(template, request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutants")
    with judging(template, request.session, test_mutant_is_killed, folder) as verdict:
        yield verdict


def test_checks_pass_without_a_fault(template):
    checks = dict.fromkeys(check for mutant in MUTANTS for check in mutant.checks)
    code, output = run_checks(template, checks, LONG)
    assert code == 0, output


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_killed(mutant, verdict):
    problem = verdict(mutant)
    assert problem is None, problem
