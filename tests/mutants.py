"""Faults, as edits of one line or two, that our checks must catch.

The first part reintroduces what was found in other hand-written engines, the second what
is easily written by mistake in this one.  `test_mutations.py` makes them and runs the
checks; the faults of gradient penalties are in `test_mutations_penalty.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A fault.

    name: what is wrong.  edits: (file, text, new text); the text occurs once in the file.
    checks: tests, of which one must fail.  fails_with: the exception with which it does.
    """

    name: str
    edits: tuple
    checks: tuple
    fails_with: str = "AssertionError"


def mutant(name, file, old, new, *checks, more=(), fails_with="AssertionError"):
    """A Mutant; more: further edits, for a fault that takes two."""
    return Mutant(name, ((file, old, new), *more), checks, fails_with)


# A formula is mutated where the CPU runs it: in kernels of its own, else in plain.py.
PLAIN, CPU = "minigan/kernels/plain.py", "minigan/kernels/cpu"
BLOCKS, FEATURES, FILTERING, IMAGES, MINIMAL, NORM, OPTIM, POINTWISE = (
    f"{CPU}/{name}.py"
    for name in (
        "blocks",
        "features",
        "filtering",
        "images",
        "minimal",
        "norm",
        "optim",
        "pointwise",
    )
)
LAYERS, NETWORK, LOSSES = (f"minigan/{name}.py" for name in ("layers", "network", "losses"))
GRADCHECK, AVERAGE = "minigan/gradcheck/check.py", "minigan/average.py"
BATCHES, CHECKPOINT, RUN, SHEET = (
    f"minigan/training/{name}.py" for name in ("batches", "checkpoint", "run", "sheet")
)
EXAMPLE = "examples/mnist_gan.py"

SLOPE_ON_THE_WRONG_SIDE = (
    "np.greater(y, 0, out=dx)\n        dx *= 1",
    "np.less(y, 0, out=dx)\n        dx *= 1",
)

STEP, SPECTRAL = "test_training_step.py", "test_spectral_norm.py"
D_STEP = f"{STEP}::TestModes::test_d_step"
G_STEP = f"{STEP}::TestModes::test_g_step"
TOUCHES = f"{STEP}::TestWhatAStepTouches"
RUN_AROUND = f"{STEP}::TestTheRunAroundIt"
REPORTED = f"{STEP}::test_reported_values"
EPOCHS = "test_run.py::test_every_epoch_shows_each_image_at_most_once_in_a_new_order"
PICTURES = "test_run.py::test_samples_show_the_same_z_in_evaluation_mode"
RESUME = "test_run.py::test_a_run_in_legs_is_the_run_in_one_go"
GRADIENTS = "test_layers.py::test_gradients_on_vectors_and_images"
ALL_LAYERS = "test_layers.py::test_every_gradient_and_second_derivative"
NOT_MUTATED = "test_layers.py::test_nothing_is_mutated_and_the_dtype_is_kept"
PILE_UP = f"{TOUCHES}::test_gradients_do_not_pile_up"
ACCUMULATE = "test_layers.py::test_gradients_accumulate_and_freeze"
DROPOUT = "test_layers.py::test_dropout_is_inverted_and_addressed"
BY_HAND = "test_layers.py::test_batchnorm_by_hand"
ANOTHER_AXIS = "test_layers.py::test_batchnorm_on_another_axis_is_that_on_the_last_one_moved_there"
SHIFTS = "test_layers.py::test_a_random_shift_moves_each_image"
SHIFTS_DRAWN = "test_layers.py::test_a_random_shift_is_drawn_for_each_image_and_pass_in_training"
A_GATE = "test_network.py::test_a_gate_is_a_leaky_relu_and_a_dropout"
NESTED = "test_network.py::test_gradients_and_second_order_of_nested_networks"
FEATURE_BY_FEATURE = "test_values.py::test_batchnorm_normalises_each_feature"
CONV = "test_conv_kernels.py"
ALL_PATHS = f"{CONV}::test_every_path_agrees_with_the_plain_one"
FORMULA = "test_optim.py::test_against_the_formula"
BCE = "test_losses.py::test_bce_on_logits_and_on_probabilities"
NOT_BLIND = "test_values.py::TestTheNumericCheckIsNotBlind"
MANY, PROCESSES = "test_processes.py", "minigan/processes.py"
AS_ONE = f"{MANY}::test_any_number_of_processes_train_as_one"
NO_GPU = "test_strict_array_module.py::TestNoGPU"

SEEN_ELSEWHERE = [
    mutant(
        "G never trains: its gradient is zeroed after its backward", EXAMPLE,
        "    opt_g.step()\n", "    G.zero_grad()\n    opt_g.step()\n",
        f"{TOUCHES}::test_both_networks_learn",
    ),
    mutant(
        "G's gradient skips D", EXAMPLE,
        "dfake = D.backward(dlogits, d_cache, params=False)",
        "dfake = dlogits[:, :, None, None] + 0 * fake",
        G_STEP,
    ),
    mutant(
        "two flipped signs that cancel: a loss gradient and Adam", PLAIN,
        "return loss, ((1 - t) * sigmoid(x)", "return loss, -((1 - t) * sigmoid(x)", BCE,
        more=((OPTIM, "p -= scratch", "p += scratch"),),
    ),
    mutant(
        "double backward of Tanh without its f'' term", PLAIN,
        "return dx_bar * slope, dx_bar * dy * slope * (-2 * y)", "return dx_bar * slope, None",
        GRADIENTS,
    ),
    mutant(
        "double backward of Sigmoid without its f'' term", PLAIN,
        "return dx_bar * slope, dx_bar * dy * slope * (1 - 2 * y)", "return dx_bar * slope, None",
        GRADIENTS,
    ),
    mutant(
        "softmax backward is only the Jacobian's diagonal", PLAIN,
        "(np.exp(log_p) * t.sum(axis=-1, keepdims=True) - t) / len(x)",
        "(np.exp(log_p) - 1) * t / len(x)",
        "test_losses.py::test_two_class_softmax_is_the_logistic_loss",
        "test_losses.py::test_softmax_cross_entropy_of_classes_and_of_probabilities",
    ),
    mutant(
        "BatchNorm in evaluation mode goes back by the batch's formula", PLAIN,
        "return dy * gamma * scale,", "return jacobian(dy * gamma, h, scale, shared, alone),",
        f"{D_STEP}[D evaluated]",
    ),
    mutant(
        "BatchNorm of images reduces over the batch only", NORM,
        "mean, variance = plain.pooled(*features.moments(x), across)\n"
        "    plain.average(moving_mean, mean, momentum)\n"
        "    plain.average(moving_variance, variance, momentum)",
        "mean, variance = plain.moments(x, (0,))\n"
        "    plain.average(moving_mean, mean.mean(axis=axes), momentum)\n"
        "    plain.average(moving_variance, variance.mean(axis=axes), momentum)",
        FEATURE_BY_FEATURE,
    ),
    mutant(
        "BatchNorm of images on another axis than the last reduces over the batch only", PLAIN,
        "mean, variance = pooled(*moments(x, axes), across)\n"
        "    average(moving_mean, mean.reshape(-1), momentum)\n"
        "    average(moving_variance, variance.reshape(-1), momentum)",
        "mean, variance = moments(x, (0,))\n"
        "    average(moving_mean, mean.mean(axis=axes), momentum)\n"
        "    average(moving_variance, variance.mean(axis=axes), momentum)",
        ANOTHER_AXIS,
    ),
    mutant(
        "the numeric check sums the output: blind to BatchNorm", GRADCHECK,
        "    dy = xp.asarray(rng.standard_normal(y.shape))\n",
        "    dy = xp.asarray(np.ones(y.shape))\n",
        f"{NOT_BLIND}::test_a_batchnorm_without_gradient",
    ),
    mutant(
        "BCE from log(sigmoid(x))", PLAIN,
        "loss = (t * softplus(-x) + (1 - t) * softplus(x)).mean()",
        "p = sigmoid(x)\n    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()",
        "test_losses.py::test_finite_in_float32_at_extreme_logits",
        fails_with="RuntimeWarning",  # the log of 0, of which the tests make an error
    ),
    mutant(
        "Adam corrects its bias with b1 in place of b1^t", OPTIM,
        "(1 - b1**t)", "(1 - b1)", FORMULA,
    ),
    mutant(
        "D's weights move between the forward and the backward of G's step", EXAMPLE,
        "need_dx=False)\n    opt_d.step()\n", "need_dx=False)\n",
        G_STEP,
        more=((EXAMPLE, "    dfake = D.backward", "    opt_d.step()\n    dfake = D.backward"),),
    ),
    mutant("Dropout is not inverted", POINTWISE, "dx *= 1 / keep", "pass", DROPOUT),
    mutant(
        "Dropout draws another mask on the way back", LAYERS,
        "return self.kernels[type(dy)].dropout_backward(dy, mask, self.keep)",
        "return self.forward(dy)[0]",
        GRADIENTS,
    ),
    mutant(
        "Gate draws another mask on the way back", LAYERS,
        "return self.kernels[type(dy)].gate_backward(dy, cache) if need_dx else None",
        "return self.forward(dy)[0] if need_dx else None",
        D_STEP,
    ),
    mutant(
        "backward updates the weights", LAYERS,
        'dw = k.dense_dw(x, dy, place)\n        self.add_grad("weight_grad", dw)\n',
        'dw = k.dense_dw(x, dy, place)\n        self.add_grad("weight_grad", dw)\n'
        "        self.weight -= 1e-3 * self.weight_grad\n",
        NOT_MUTATED,
    ),
    mutant(
        "backward writes into the caller's gradient", POINTWISE,
        "np.greater(y, 0, out=dx)\n        dx *= dy", "dy *= y > 0\n        dx[...] = dy",
        NOT_MUTATED,
        fails_with="ValueError",  # the check hands out read-only arrays
    ),
    mutant(
        "backward writes into its cache", PLAIN,
        "return dy * (1 - y * y)", "y *= y\n    return dy * (1 - y)",
        NOT_MUTATED,
    ),
    mutant(
        "float64 leaks in through an array made without dtype", BLOCKS,
        "np.empty_like(arrays[0])", "np.empty(arrays[0].shape)", NOT_MUTATED,
        fails_with="ValueError",  # a gradient of another dtype than its output is refused
    ),
    mutant(
        "float64 leaks in through BatchNorm's output made without dtype", FEATURES,
        "y = np.empty(x.shape, x.dtype)", "y = np.empty(x.shape)", NOT_MUTATED,
        fails_with="ValueError",  # the layer refuses a dy of another dtype than its own
    ),
    mutant(
        "float64 leaks in through BatchNorm's gradient made without dtype", FEATURES,
        "dx = np.empty(x.shape, x.dtype)", "dx = np.empty(x.shape)", NOT_MUTATED,
    ),
    mutant(
        "pictures of a run are drawn in training mode", SHEET,
        "generator.forward(z, train=False)", "generator.forward(z)",
        PICTURES,
    ),
    mutant(
        "samples are drawn in training mode", "minigan/training/sampling.py",
        "train=False)[0]", "train=True)[0]",
        f"{RUN_AROUND}::test_a_sample_does_not_depend_on_the_others",
    ),
    mutant("a picked picture is another one", "minigan/training/sampling.py",
           "return z[numbers], code", "return z[: len(numbers)], code",
           "test_sampling.py::test_a_picture_is_named_by_its_number"),
    mutant("normal z leave their sphere, uniform ones their cube", "minigan/training/latent.py",
           'return arc(a, b, share) if self.kind == "normal"',
           'return arc(a, b, share) if self.kind == "uniform"',
           "test_sampling.py::test_normal_z_stay_on_their_sphere_and_uniform_z_in_their_cube"),
    mutant("a GIF shows what is hidden under transparent pixels", "minigan/training/pictures.py",
           'if picture.mode == "RGBA":', "if False:",
           "test_pictures.py::TestGif::test_transparent_frames_are_put_on_grey"),
    mutant("the words of a kernel are read", "minigan/training/options.py",
           "sys.argv[1:] if program else []", "sys.argv[1:]",
           "test_notebook.py::test_the_words_of_a_kernel_are_not_read", fails_with="UserError"),
    mutant("the library's step piles up D's gradients", "minigan/training/step.py",
           "    D.zero_grad()\n", "", f"{STEP}::TestTheStepOfTheLibrary"),
    mutant(
        "a ragged last batch", BATCHES,
        "self.per_epoch = count // size", "self.per_epoch = -(-count // size)",
        EPOCHS,
    ),
    mutant(
        "the data is never shuffled", BATCHES,
        "self._order, self._order_epoch = self.xp.asarray(order), epoch",
        "self._order, self._order_epoch = self.xp.arange(len(order)), epoch",
        EPOCHS,
    ),
    mutant(
        "the same first batch for ever", BATCHES,
        "order[batch * self.size :", "order[0 * batch :",
        EPOCHS,
    ),
    mutant(
        "one order for every epoch", BATCHES,
        'where="shuffle", step=epoch', 'where="shuffle", step=0',
        EPOCHS,
    ),
    mutant(
        "a checkpoint without the optimizer's state", CHECKPOINT,
        "state(networks, optimizers), self.arrays", "state(networks, {}), self.arrays",
        RESUME,
    ),
    mutant(
        "a checkpoint without the optimizer's step", CHECKPOINT,
        'optimizer.t = self.description["optimizer_steps"].get(name, 0)', "optimizer.t = 0",
        RESUME,
    ),
    mutant(
        "a checkpoint without moving averages", "minigan/archive.py",
        'f"{name}/buffers": network.buffers', 'f"{name}/buffers": 0 * network.buffers',
        PICTURES,
    ),
    mutant(
        "a resumed run starts with the data and the noise of step 0", RUN,
        'self.step = self.saved_step = checkpoint', 'self.saved_step = checkpoint',
        RESUME,
    ),
    mutant(
        "CuPy is imported with the package wherever it is installed", "minigan/arrays.py",
        "import numpy as np\n",
        "import numpy as np\n\ntry:\n    import cupy\nexcept ImportError:\n    cupy = np\n",
        f"{NO_GPU}::test_importing_minigan_leaves_cupy_alone",
    ),
]  # fmt: skip

OF_OUR_OWN = [
    # Dense
    mutant("Dense: backward reshapes the weight where it should transpose", f"{CPU}/linear.py",
           "(rows(dy), w.T, rows(dx))", "(rows(dy), w.reshape(w.shape[::-1]), rows(dx))",
           GRADIENTS),
    mutant("Dense: no bias gradient", LAYERS,
           'self.add_grad("bias_grad", k.sum_rows(dy))\n        return dx',
           "pass\n        return dx", GRADIENTS),
    mutant("Dense: the bias gradient is divided by the batch once more", LAYERS,
           "k.sum_rows(dy))\n        return dx", "k.sum_rows(dy) / len(dy))\n        return dx",
           GRADIENTS),
    mutant("Dense: params=False is ignored", LAYERS,
           "if not params:\n            return k.dense_dx(",
           "if False:\n            return k.dense_dx(", f"{TOUCHES}::test_g_step_leaves_d_alone"),
    mutant("Dense: double backward with the wrong sign", LAYERS,
           "k.dense_dw(dx_bar, dy))", "-k.dense_dw(dx_bar, dy))", GRADIENTS),
    # Gradients that count as zero until the next ones are written over them
    mutant("gradients: the second is set, not added", NETWORK,
           "grad += value", "grad[...] = value", ACCUMULATE),
    mutant("gradients: the first after zero_grad is added to what was there", NETWORK,
           "if name not in self._zero:", "if value is not grad:", PILE_UP),
    mutant("gradients: a product is written over what is to be added to", NETWORK,
           "self._tensors[name] if name in self._zero else None", "self._tensors[name]",
           ACCUMULATE),
    mutant("gradients: one that is there still counts as zero", NETWORK,
           "self._zero.discard(name)", "pass", ACCUMULATE),
    mutant("gradients: zero_grad forgets", NETWORK,
           'self._zero = {f"{name}_grad" for name in self.param_specs}', "pass", ACCUMULATE),
    mutant("gradients: the zeros that zero_grad has promised are not written", NETWORK,
           "self._tensors[name].fill(0)", "pass", ACCUMULATE),
    # Activations
    mutant("ReLU: the gradient passes everywhere", POINTWISE,
           "np.greater(y, 0, out=dx)\n        dx *= dy",
           "np.greater_equal(y, 0, out=dx)\n        dx *= dy", GRADIENTS),
    mutant("LeakyReLU: forward has its slope on the wrong side", POINTWISE,
           "np.maximum(x, y, out=y)", "np.minimum(x, y, out=y)", GRADIENTS),
    mutant("LeakyReLU: backward has its slope on the wrong side", POINTWISE,
           *SLOPE_ON_THE_WRONG_SIDE, GRADIENTS),
    mutant(
        "LeakyReLU: both have", POINTWISE, "np.maximum(x, y, out=y)", "np.minimum(x, y, out=y)",
        "test_values.py::test_functions_without_parameters",
        more=((POINTWISE, *SLOPE_ON_THE_WRONG_SIDE),),
    ),
    mutant("Tanh: 1 - y for 1 - y^2", PLAIN, "dy * (1 - y * y)", "dy * (1 - y)", GRADIENTS),
    mutant("Sigmoid: 1 - y for y (1 - y)", PLAIN, "dy * y * (1 - y)", "dy * (1 - y)", GRADIENTS),
    # Normalisation
    mutant("normalisation: backward forgets the mean of g", PLAIN,
           "g - mean_of(g, axes, across)", "g", GRADIENTS),
    mutant("BatchNorm in blocks: backward forgets the mean of g", FEATURES,
           "            along_h += shift\n", "", GRADIENTS),
    mutant("normalisation: backward forgets the variance's part", PLAIN,
           " - h * mean_of(g * h, axes, across)", "", GRADIENTS),
    mutant("BatchNorm in blocks: backward forgets the variance's part", FEATURES,
           "along_h *= slope", "along_h *= 0", GRADIENTS),
    mutant("normalisation: eps outside the root", PLAIN,
           "1 / np.sqrt(variance + eps)", "1 / (np.sqrt(variance) + eps)", GRADIENTS),
    mutant("BatchNorm in blocks: eps outside the root", NORM,
           "plain.inverse_deviation(variance, eps)", "1 / (variance**0.5 + eps)", GRADIENTS),
    mutant("BatchNorm: eps outside the root in evaluation mode", LAYERS,
           "k.inverse_deviation(self.along(variance, x), self.eps)",
           "1 / (self.along(variance, x) ** 0.5 + self.eps)", FEATURE_BY_FEATURE),
    mutant("normalisation: double backward forgets the scale's part", PLAIN,
           " - scale * h * mean_of(dx_bar * dx, axes, across)", "", GRADIENTS),
    mutant("normalisation: double backward forgets gamma's gradient", LAYERS,
           'self.add_grad("gamma_grad", dgamma)\n        return', "return", GRADIENTS),
    mutant("BatchNorm: momentum the other way round", LAYERS,
           "*moving, self.momentum, self", "*moving, 1 - self.momentum, self", BY_HAND),
    mutant("BatchNorm: batch statistics in evaluation mode", LAYERS,
           "if train:\n            if not x", "if True:\n            if not x", BY_HAND),
    mutant("BatchNorm: evaluation moves the averages", LAYERS,
           "mean, variance = self.moving_mean",
           "self.moving_mean += 1e-3\n        mean, variance = self.moving_mean", BY_HAND),
    mutant("LayerNorm: statistics over the batch", LAYERS,
           "tuple(range(x.ndim - len(self.shape), x.ndim))", "(0,)",
           "test_values.py::test_layernorm_normalises_each_sample"),
    # Spectral normalisation
    mutant("SpectralNorm: sigma is a constant on the way back", PLAIN,
           "(dw_hat - along * (v[:, None] * u).reshape(w_hat.shape)) / sigma", "dw_hat / sigma",
           f"{SPECTRAL}::test_the_formula_by_hand"),
    mutant("SpectralNorm: in the second order alone", LAYERS,
           "self._add_grads_of(layer, cache)\n        return result",
           "self.add_grad('weight_grad', layer.weight_grad / cache[-1])\n        return result",
           f"{SPECTRAL}::test_the_gradient_is_exact_with_u_and_v_held"),
    mutant("SpectralNorm: evaluation moves u", LAYERS,
           "        if train:\n            self.u = u", "        self.u = u",
           f"{SPECTRAL}::test_a_training_forward_is_one_iteration_and_evaluation_none"),
    mutant("SpectralNorm: u starts anew in each pass", LAYERS,
           "        if train:\n            self.u = u", "",
           f"{SPECTRAL}::test_the_largest_singular_value_becomes_one"),
    mutant("SpectralNorm: the way back has the weight as it is", LAYERS,
           "self._layer_with(weight)\n        dx", "self._layer_with(self.weight)\n        dx",
           f"{SPECTRAL}::test_passes_have_their_own_weights"),
    # Dropout
    mutant("Dropout: one mask for all steps", LAYERS, "step=self.step, call=", "step=0, call=",
           DROPOUT),
    mutant("Dropout: one mask for all passes of a step", LAYERS, "call=call", "call=0",
           DROPOUT),
    mutant("Dropout: the rate is the share to keep", LAYERS,
           "kept_share(1 - self.rate)", "kept_share(self.rate)", DROPOUT),
    mutant("Dropout: on in evaluation mode", LAYERS,
           "if not (train or self.always) or self.rate == 0:", "if self.rate == 0:", DROPOUT),
    # RandomShift
    mutant("RandomShift: the way back moves on", LAYERS, "move(dy, -steps)", "move(dy, steps)",
           ALL_LAYERS),
    mutant("RandomShift: the second order moves back", LAYERS, "move(dx_bar, steps)",
           "move(dx_bar, -steps)", ALL_LAYERS),
    mutant("RandomShift: what is moved out comes in again", PLAIN, "np.where(inside[..., None], x[",
           "np.where(inside[..., None] | True, x[",
           "test_plain.py::TestFunctionByFunction::test_the_cpu_s"),
    mutant("RandomShift: another draw on the way back", LAYERS,
           "return self.kernels[type(dy)].move(dy, -steps)", "return self.forward(dy)[0]",
           ALL_LAYERS),
    mutant("RandomShift: on in evaluation mode", LAYERS,
           "if train:\n            address = self.next_address(x, train) |",
           "if True:\n            address = self.next_address(x, train) |", SHIFTS_DRAWN),
    mutant("RandomShift: all passes of a step are alike", "minigan/random.py",
           "generator(seed, where, step, call).uniform", "generator(seed, where, step).uniform",
           SHIFTS_DRAWN),
    mutant("RandomShift: one draw for all images", LAYERS,
           "random.of_batch(random.uniform, (len(x), 2), **address)",
           "random.of_batch(random.uniform, (1, 2), **address).repeat(len(x), axis=0)",
           SHIFTS_DRAWN),
    mutant("RandomShift: by up to half of what was asked for", PLAIN,
           "(2 * m + 1)).astype(int) - m", "(m + 1)).astype(int) - m // 2", SHIFTS),
    # Gate
    mutant("Gate: nothing is dropped", POINTWISE, "f *= y", "pass", A_GATE),
    mutant("Gate: not inverted above 0", POINTWISE, "(1 - slope) / keep", "1 - slope", A_GATE),
    mutant("Gate: the slope is not inverted", POINTWISE, "+= slope / keep", "+= slope", A_GATE),
    mutant("Gate: its slope on the wrong side", POINTWISE, "np.greater(x,", "np.less(x,", A_GATE),
    mutant("Gate: takes a layer that is more than a Dropout", LAYERS,
           "(type(self), type(following)) == (LeakyReLU, Dropout)",
           "type(self) is LeakyReLU and isinstance(following, Dropout)",
           "test_network.py::test_a_gate_stands_for_plain_layers_only"),
    mutant("Gate: takes a layer that is more than a LeakyReLU", LAYERS,
           "(type(self), type(following)) == (LeakyReLU, Dropout)", "type(following) is Dropout",
           "test_network.py::test_a_gate_stands_for_plain_layers_only"),
    # Sequential
    mutant("Sequential: x_bar is dropped", NETWORK, "if x_bar is not None:", "if False:", NESTED),
    mutant("Sequential: the second sweep leaves the parameters out", NETWORK,
           "below = layer.backward(below, layer_cache)",
           "below = layer.backward(below, layer_cache, params=False)", NESTED),
    mutant("Sequential: params=False does not reach the layers", NETWORK,
           "cache[index], params, need_dx", "cache[index], True, need_dx",
           f"{TOUCHES}::test_g_step_leaves_d_alone"),
    mutant("Sequential: zero_grad does not reach the layers", NETWORK,
           "layer.zero_grad()", "pass", PILE_UP),
    mutant("Sequential: the layers' tensors are copies", NETWORK,
           "layer.bind(params[at:end],", "layer.bind(params[at:end].copy(),",
           "test_network.py::test_tensors_are_views_of_one_vector"),
    mutant("Sequential: begin_step does not reach the layers", NETWORK,
           "layer.begin_step(step)", "pass",
           "test_network.py::test_clone_is_equal_and_independent",
           RESUME),
    # Losses
    mutant("BCE: divided by the batch twice", PLAIN,
           "t * sigmoid(-x)) / x.size", "t * sigmoid(-x)) / x.size / len(x)", BCE),
    mutant("BCE: not divided by the batch", PLAIN,
           "t * sigmoid(-x)) / x.size", "t * sigmoid(-x))", ALL_LAYERS),
    mutant("BCE: sigmoid(x) - t cancels in the tails", PLAIN,
           "((1 - t) * sigmoid(x) - t * sigmoid(-x))", "(sigmoid(x) - t)",
           "test_values.py::test_the_tails_keep_all_their_digits"),
    mutant("softplus overflows", PLAIN,
           "np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))", "np.log1p(np.exp(x))",
           "test_losses.py::test_finite_in_float32_at_extreme_logits",
           fails_with="RuntimeWarning"),
    mutant("a target of another shape is broadcast", LOSSES,
           "if target.shape != scores.shape:", "if target.size != scores.size:",
           "test_losses.py::test_targets_that_would_broadcast_are_refused",
           fails_with="Failed"),  # pytest's word for an exception that did not come
    mutant("hinge: the margin on the other side", PLAIN,
           "(margin > 0)", "(margin < 0)", "test_losses.py::test_scores"),
    mutant("minimax: the gradient's sign", PLAIN, ", -sigmoid(x) / x.size", ", sigmoid(x) / x.size",
           f"{STEP}::TestLosses::test_g_step[minimax]"),
    mutant("least squares: the gradient of the loss without its 1/2", PLAIN,
           ", (x - t) / x.size", ", 2 * (x - t) / x.size",
           f"{STEP}::TestLosses::test_d_step[least squares]"),
    mutant("a loss waits for the GPU", PLAIN,
           "return ((x - t) ** 2).mean() / 2,", "return float(((x - t) ** 2).mean() / 2),",
           "test_strict_array_module.py::test_losses_agree_with_numpy"),
    # Convolution and up-sampling
    mutant("up-sampling: backward takes one pixel of the block", IMAGES,
           ".sum(axis=(2, 4))", "[:, :, 0, :, 0]", ALL_LAYERS),
    mutant("up-sampling: backward takes the mean of the block", IMAGES,
           ".sum(axis=(2, 4))", ".mean(axis=(2, 4))", ALL_LAYERS),
    mutant("BatchNorm of images: every column has its own statistics", LAYERS,
           "features, *, axis=-1, momentum", "features, *, axis=-2, momentum", FEATURE_BY_FEATURE,
           fails_with="ValueError"),  # the layer refuses features on another axis than its own
    mutant("M4: BatchNorm takes the image's width for the channels, as the textbook did",
           "examples/mnist_conv_gan.py",
           "mg.BatchNorm(28, axis=2) if options.original", "mg.BatchNorm(28, axis=2) if channels",
           "test_models.py::TestCounts::test_of_the_networks"),
    mutant("transposed convolutions crop their odd row and column in front",
           "minigan/kernels/geometry.py", 'return geometry(made, kernel, stride, "same")',
           'zeros = geometry(made, kernel, stride, "same").padding\n'
           "        return geometry(made, kernel, stride, tuple(pair[::-1] for pair in zeros))",
           "test_geometry.py::test_transposed_sizes_are_keras"),
    mutant("im2col: the image lies on the wrong side of an odd zero", f"{CPU}/im2col.py",
           "padded[:, top : top + height, left : left + width]",
           "padded[:, bottom : bottom + height, right : right + width]", ALL_PATHS),
    mutant("im2col: of a window's pixels the last tap alone", f"{CPU}/im2col.py",
           "if row < down and column == 0:", "if True:", ALL_PATHS),
    mutant("products: the rows behind the last whole piece are left out", f"{CPU}/products.py",
           "np.add(sum(sums), rest, out=out)", "out[...] = sum(sums)",
           "test_kernels_features.py::test_tall_products_in_pieces"),
    mutant("minimal filtering: what lay in front of the image before stays there", MINIMAL,
           "lines[: -(-before // stride)] = 0", "pass", ALL_PATHS),
    mutant("minimal filtering: what lay behind the image before stays there", MINIMAL,
           "lines[(before + size) // stride :] = 0", "pass", ALL_PATHS),
    mutant("minimal filtering: the pixels after the last window keep what was there", FILTERING,
           "d[..., tiles * m :, :] = 0", "pass", ALL_PATHS),
    mutant("minimal filtering: a cell of two tiles has one gradient", FILTERING,
           "m : m, :] += shared", "m : m, :] = shared", ALL_PATHS),
    mutant("minimal filtering: the interpolation is not divided by its values at the points",
           FILTERING,
           "/ np.array([*divisors, 1])[:, None]", "", ALL_PATHS),
    mutant("minimal filtering: at infinity the lowest coefficient", FILTERING,
           "np.eye(n)[-1:]", "np.eye(n)[:1]", ALL_PATHS),
    mutant("minimal filtering: two tiles share one cell, whatever the taps", FILTERING,
           "for i in range(self.overlap)", "for i in range(1)", ALL_PATHS),
    mutant("minimal filtering: an image's last column is left out, where its cell is not whole",
           MINIMAL,
           "pairwise((start, first, last, stop))", "pairwise((start, first, last))", ALL_PATHS),
    mutant("minimal filtering: dw of the last chunk and row products alone", MINIMAL,
           "taps += own", "taps[...] = own",
           f"{CONV}::test_chunks_change_nothing_and_repeat_bit_for_bit"
           "[small tiles-minigan.kernels.cpu.minimal-30000]"),
    mutant("minimal filtering: all of a wide layer's transformed filters at once", MINIMAL,
           "workspace.cut(self.products[0], workspace.CHUNK_BYTES, bytes_u)",
           "[(0, self.products[0])]",
           f"{CONV}::test_the_transformed_filters_of_wide_layers_come_in_parts"),
    mutant("minimal filtering: large tiles for a small batch", FILTERING,
           "if windows < WINDOWS_FOR_LARGE_TILES", "if False",
           f"{CONV}::test_the_tiles_are_those_of_fewest_products"),
    mutant("minimal filtering: every phase has the taps of the first", MINIMAL,
           "yield w[i::sr, :, taps]", "yield w[::sr, :, taps]", ALL_PATHS),
    mutant("threads: the last range is left out", "minigan/threads.py",
           "deque(range(len(ranges)))", "deque(range(len(ranges) - 1))",
           "test_threads.py::test_results_are_those_of_each_call_many_times_over"),
    mutant("same padding: the odd zero goes in front", "minigan/kernels/geometry.py",
           "return zeros // 2, zeros - zeros // 2", "return zeros - zeros // 2, zeros // 2",
           "test_geometry.py"),
    mutant("Conv2d: the second order of the weights reads x", LAYERS,
           "conv_y_dw(dx_bar, dy,", "conv_y_dw(cache, dy,", ALL_LAYERS),
    mutant("convolutions: no bias gradient", LAYERS,
           'self.add_grad("bias_grad", k.sum_rows(dy))\n\n', "pass\n\n", ALL_LAYERS),
    # A step as a CUDA graph
    mutant("a graph: an optimizer's count stands still", "minigan/training/graph.py",
           "optimizer.t += t - count", "pass",
           "test_graph.py::test_batches_of_other_sizes_have_graphs_of_their_own"),
    mutant("a graph: random numbers are those of its recording", "minigan/training/graph.py",
           "made = make(step)", "made = make(self.step)",
           "test_graph.py::test_batches_of_other_sizes_have_graphs_of_their_own"),
    mutant("a graph: what it returns is overwritten", "minigan/training/graph.py",
           "return _mapped(lambda each: each.copy(), self.outputs)", "return self.outputs",
           "test_graph.py::test_what_was_returned_stays"),
    mutant("a graph: nobody tries whether it does the same", "minigan/training/graph.py",
           "if graph.tried:", "if True:",
           "test_graph.py::test_numbers_that_python_keeps_are_found_out"),
    # Optimizers
    mutant("Adam: no bias correction", OPTIM, "(1 - b1) / (1 - b1**t)", "1 - b1", FORMULA),
    mutant("Adam: v decays with b1", OPTIM, "v *= b2", "v *= b1", FORMULA),
    mutant("Adam: eps inside the correction", OPTIM, "+= eps / root_v_scale", "+= eps", FORMULA),
    mutant("Adam: a bound of the step that is not of the rate", OPTIM,
           "plain.clip(scratch, lr * bound)", "plain.clip(scratch, bound)", FORMULA),
    mutant("Adam: only steps down are bounded", OPTIM,
           "plain.clip(scratch, lr * bound)", "np.minimum(scratch, lr * bound, out=scratch)",
           FORMULA),
    mutant("RMSProp: eps inside the root", PLAIN,
           "(np.sqrt(s) + eps)", "np.sqrt(s + eps)", FORMULA),
    mutant("SGD: momentum acts on the gradient", PLAIN,
           "    velocity += g\n", "    g += velocity\n    velocity[...] = g\n", FORMULA),
    mutant("optimizers: steps are not counted", "minigan/optim.py",
           "self.t += 1", "self.t = 1", FORMULA),
    mutant("optimizers: the last block is left out", BLOCKS,
           "parallel(work, size, size, BLOCK)",
           "parallel(work, size // BLOCK * BLOCK, size, BLOCK)", FORMULA),
    mutant("moving average: the new weights get the old ones' share", PLAIN,
           "mean += (1 - keep) * latest", "mean += keep * latest",
           "test_average.py::test_against_the_formula"),
    mutant("moving average: an update counts for one step", AVERAGE,
           "steps = 1 if t <= self.EVERY else self.EVERY", "steps = 1",
           "test_average.py::test_against_the_formula"),
    mutant("moving average: the source's arrays are shared", AVERAGE,
           "self.decay, self.network = source, decay, source.clone()",
           "self.decay, self.network = source, decay, source",
           "test_average.py::test_it_is_a_network_of_its_own_like_the_source"),
    # The training step
    mutant("D also trains on G's loss", EXAMPLE,
           "D.backward(dlogits, d_cache, params=False)", "D.backward(dlogits, d_cache)",
           f"{TOUCHES}::test_g_step_leaves_d_alone"),
    mutant("D's gradients pile up from step to step", EXAMPLE, "    D.zero_grad()\n", "", PILE_UP),
    mutant("D learns that generated images are real", EXAMPLE,
           "bce_with_logits(logits[n:], 0.0)", "bce_with_logits(logits[n:], 1.0)", REPORTED),
    mutant("D's loss is that of the real images alone", EXAMPLE,
           "d_loss=real_loss + fake_loss", "d_loss=real_loss", D_STEP),
    mutant("D's gradient is that of the real images alone", EXAMPLE,
           "D.backward(xp.concatenate([d_real, d_fake])",
           "D.backward(xp.concatenate([d_real, 0 * d_fake])", D_STEP),
    mutant("G helps D", EXAMPLE,
           "non_saturating(fake_logits)", "bce_with_logits(fake_logits, 0.0)", REPORTED),
    mutant("G's step judges the noise of D's step", EXAMPLE,
           "G.forward(z_g)", "G.forward(z_d)", REPORTED),
    # Randomness
    mutant("random numbers do not depend on the step", PLAIN,
           "zlib.crc32(where.encode()), step,", "zlib.crc32(where.encode()), 0,",
           "test_random.py::test_an_address_gives_the_same_numbers_always"),
    mutant("the same noise in every step of a run", RUN,
           "where=where, step=self.step)", "where=where, step=0)",
           f"{RUN_AROUND}::test_every_z_is_new"),
    mutant("masks on the GPU do not depend on the step", "minigan/kernels/gpu/pointwise.py",
           "random_bits(**address)", 'random_bits(**address | {"step": 0})',
           "test_strict_array_module.py::TestDropout::test_keep_mask_is_addressed"),
    mutant("initial weights do not depend on the layer", NETWORK,
           'random.generator(self.seed, f"{self.where}/{name}")',
           "random.generator(self.seed, name)",
           "test_network.py::test_layers_of_one_network_draw_different_weights"),
    # Around the mathematics
    mutant("a dy of another shape, or another layer's cache, is broadcast", NETWORK,
           "if dy.shape != shape or dy.dtype != dtype:", "if False:",
           "test_layers.py::test_a_gradient_has_the_shape_and_dtype_of_what_it_belongs_to"),
    mutant("tensors assigned are detached", NETWORK,
           'if name not in self.__dict__.get("_names", ()):', "if True:",
           "test_network.py"),
    mutant("without a step, a penalty's epsilon is the same at every call",
           "minigan/random.py",
           "return next(_unaddressed) if step is None else step", "return step or 0",
           "test_penalty.py::test_without_a_step_every_call_draws_new_epsilons"),
    mutant("pictures of floats are taken for bytes", "minigan/data/dataset.py",
           'if kind.kind == "b":', "if True:",
           "test_data_numbers.py::test_numbers_without_a_range_are_refused", fails_with="Failed"),
    mutant("class folders are drawn under other names", RUN,
           "check_classes(dataset, latent.classes)", "pass",
           "test_batches.py::test_a_run_refuses_data_of_other_classes", fails_with="KeyError"),
    mutant("the same half of the images is mirrored at every step", BATCHES,
           'where="flip", step=step', 'where="flip", step=0',
           "test_batches.py::test_half_of_a_batch_is_mirrored_and_always_the_same_half"),
    mutant("a folder is not looked at again under the lock", RUN,
           "self._results.check(resume)", "pass",
           "test_run.py::test_the_slower_of_two_runs_does_not_replace_what_the_quicker_has_done"),
    mutant("a schedule scales what it has scaled", "minigan/training/rates.py",
           ".lr = rate * factor", ".lr *= factor",
           "test_rates.py::test_networks_of_two_rates_keep_their_ratio"),
    mutant("a changed rate is forgotten by a kill", RUN,
           "            self._save()  # first", "            pass  # first",
           "test_rates.py::test_a_change_that_has_been_said_outlives_a_kill"),
    mutant("a run begins with the average of another", "minigan/training/init_from.py",
           "if TRAINED in there:", "if False:",
           "test_init_from.py::test_a_run_begins_where_the_other_was"),
    # Several processes
    mutant("processes: an optimizer takes the gradient of its own part", "minigan/optim.py",
           "        processes.here.average(self.network.grads)\n", "", AS_ONE),
    mutant("processes: gradients are added up", PROCESSES,
           "values[...] = self.mean(values)", "values[...] = self.total(values)", AS_ONE),
    mutant("processes: BatchNorm's moments are those of one", NORM,
           "plain.pooled(*features.moments(x), across)", "features.moments(x)", AS_ONE),
    mutant("processes: BatchNorm's moments are those of one, on another axis", PLAIN,
           "mean, variance = pooled(*moments(x, axes), across)",
           "mean, variance = moments(x, axes)", AS_ONE),
    mutant("processes: the variance of all without the spread of their means", PLAIN,
           "across(variance + (mean - whole) ** 2)", "across(variance)", AS_ONE),
    mutant("processes: a mask is drawn by the place among one's own", LAYERS,
           "share=processes.here.share)", "share=None)", AS_ONE),
    mutant("processes: a mask of evaluation is drawn by the place among one's own", LAYERS,
           "share=processes.here.share)", "share=processes.here.share if train else None)",
           f"{MANY}::test_a_mask_of_evaluation_is_drawn_by_place"),
    mutant("processes: flipped labels are drawn by the place among one's own", LOSSES,
           "share = processes.here.share\n", "share = None\n", AS_ONE),
    mutant("processes: z, labels and epsilon are drawn by the place among one's own",
           "minigan/random.py",
           "return here.rows(draw((whole, *shape[1:]), **options))",
           "return draw(shape, **options)", AS_ONE),
    mutant("processes: each takes the rows of the first", PROCESSES,
           "return parts[:, rank].reshape", "return parts[:, 0].reshape", AS_ONE),
    mutant("processes: of all rows, one's own in every place", PROCESSES,
           "        parts[:, rank] = mine\n        return self.total(parts).reshape",
           "        parts[:] = mine[:, None]\n        return parts.reshape",
           f"{MANY}::test_the_whole_of_all_rows"),
    mutant("processes: one that works by itself is still answered by the others", PROCESSES,
           "others, here = here, Alone()", "others = here",
           f"{MANY}::test_what_one_does_by_itself_asks_nobody"),
    mutant("processes: a sheet in the loop is drawn in parts", "minigan/training/run.py",
           "        with processes.by_itself():\n            return pillow_image",
           "        if True:\n            return pillow_image",
           "test_notebook.py::test_a_sheet_in_the_loop_is_all_of_one_process",
           fails_with="ValueError"),
    mutant("Dropout: what is drawn changes the masks of training", LAYERS,
           "self.calls[train] += 1", "self.calls = dict.fromkeys(self.calls, call + 1)",
           "test_layers.py::test_what_is_drawn_with_dropout_changes_no_mask_of_training"),
    # The numeric check itself
    mutant("the numeric check lets NaN pass", GRADCHECK,
           "all(error <= TOLERANCE for", "all(not error > TOLERANCE for",
           f"{NOT_BLIND}::test_an_error_that_is_not_a_number"),
    mutant("the numeric check is too kind", GRADCHECK,
           "\nTOLERANCE = 1e-7", "\nTOLERANCE = 1e-5",
           f"{NOT_BLIND}::test_an_error_of_one_in_a_million"),
]  # fmt: skip

MUTANTS = SEEN_ELSEWHERE + OF_OUR_OWN
