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


ACTIVATION, BASE, DENSE = (f"minigan/layers/{name}.py" for name in ("activation", "base", "dense"))
DROPOUT, NORM = "minigan/layers/dropout.py", "minigan/layers/norm.py"
GATE = "minigan/layers/gate.py"
NETWORK, RANDOM, RUN = "minigan/network.py", "minigan/random.py", "minigan/training/run.py"
ARRAYS, FUNCTIONS, LOSSES = "minigan/arrays.py", "minigan/functions.py", "minigan/losses.py"
GRADCHECK, OPTIM = "minigan/gradcheck.py", "minigan/optim.py"
BLOCKS, FEATURES = "minigan/kernels/cpu/blocks.py", "minigan/kernels/features.py"
CHECKPOINT, BATCHES = "minigan/training/checkpoint.py", "minigan/training/batches.py"
EXAMPLE = "examples/mnist_gan.py"

SLOPE_ON_THE_WRONG_SIDE = (
    "np.greater(y, 0, out=dx)\n            dx *= 1", "np.less(y, 0, out=dx)\n            dx *= 1",
)

STEP = "test_training_step.py"
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
ACCUMULATE = "test_layers.py::test_gradients_accumulate_and_freeze"
DROPOUT_TEST = "test_layers.py::test_dropout_is_inverted_and_addressed"
BY_HAND = "test_layers.py::test_batchnorm_by_hand"
ANOTHER_AXIS = (
    "test_layers.py::test_batchnorm_on_another_axis_is_that_on_the_last_one_moved_there"
)
A_GATE = "test_network.py::test_a_gate_is_a_leaky_relu_and_a_dropout"
NESTED = "test_network.py::test_gradients_and_second_order_of_nested_networks"
FORMULA = "test_optim.py::test_against_the_formula"
BCE = "test_losses.py::test_bce_on_logits_and_on_probabilities"
NOT_BLIND = "test_values.py::TestTheNumericCheckIsNotBlind"
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
        "two flipped signs that cancel: a loss gradient and Adam", LOSSES,
        "    return loss, dlogits / logits.size",
        "    return loss, -dlogits / logits.size",
        BCE,
        more=((
            OPTIM,
            "m_scale / root_v_scale\n        p -= scratch",
            "m_scale / root_v_scale\n        p += scratch",
        ),),
    ),
    mutant(
        "double backward of Tanh without its f'' term", ACTIVATION,
        "return dx_bar * slope, dx_bar * dy * slope * (-2 * y)",
        "return dx_bar * slope, None",
        GRADIENTS,
    ),
    mutant(
        "double backward of Sigmoid without its f'' term", ACTIVATION,
        "return dx_bar * slope, dx_bar * dy * slope * (1 - 2 * y)",
        "return dx_bar * slope, None",
        GRADIENTS,
    ),
    mutant(
        "softmax backward is only the Jacobian's diagonal", LOSSES,
        "(xp.exp(log_p) * t.sum(axis=-1, keepdims=True) - t) / len(logits)",
        "(xp.exp(log_p) - 1) * t / len(logits)",
        "test_losses.py::test_two_class_softmax_is_the_logistic_loss",
        "test_losses.py::test_softmax_cross_entropy_of_classes_and_of_probabilities",
    ),
    mutant(
        "BatchNorm in evaluation mode goes back by the batch's formula", NORM,
        "        return g * self.scale\n",
        "        h, n = self.h, len(g)\n"
        "        return (g - g.sum(axis=0) / n - h * (g * h).sum(axis=0) / n) * self.scale\n",
        f"{D_STEP}[D evaluated]",
    ),
    mutant(
        "BatchNorm of images reduces over the batch only", NORM,
        "batch = FeatureStatistics(x, self.eps)",
        "batch = BatchStatistics(x, (0,), self.eps)",
        "test_values.py::test_batchnorm_normalises_each_feature",
        more=((NORM, "latest.reshape(-1)", "latest.reshape(-1, self.features).mean(axis=0)"),),
    ),
    mutant(
        "BatchNorm of images on another axis than the last reduces over the batch only", NORM,
        "BatchStatistics(x, self.other_axes(x), self.eps)",
        "BatchStatistics(x, (0,), self.eps)",
        ANOTHER_AXIS,
        more=((NORM, "latest.reshape(-1)", "latest.reshape(-1, self.features).mean(axis=0)"),),
    ),
    mutant(
        "the numeric check sums the output: blind to BatchNorm", GRADCHECK,
        "    dy = xp.asarray(rng.standard_normal(y.shape))\n",
        "    dy = xp.asarray(np.ones(y.shape))\n",
        f"{NOT_BLIND}::test_a_batchnorm_without_gradient",
    ),
    mutant(
        "BCE from log(sigmoid(x))", LOSSES,
        "loss = (softplus(logits) - t * logits).mean()",
        "xp, p = get_array_module(logits), sigmoid(logits)\n"
        "    loss = -(t * xp.log(p) + (1 - t) * xp.log(1 - p)).mean()",
        "test_losses.py::test_finite_in_float32_at_extreme_logits",
        fails_with="RuntimeWarning",  # the log of 0, of which the tests make an error
    ),
    mutant(
        "Adam corrects its bias with b1 in place of b1^t", OPTIM,
        "(1 - self.b1**self.t)", "(1 - self.b1)", FORMULA,
    ),
    mutant(
        "D's weights move between the forward and the backward of G's step", EXAMPLE,
        "params=\"set\", need_dx=False)\n    opt_d.step()\n", "params=\"set\", inputs=False)\n",
        G_STEP,
        more=((
            EXAMPLE,
            "    dfake = D.backward",
            "    opt_d.step()\n    dfake = D.backward",
        ),),
    ),
    mutant(
        "Dropout is not inverted", DROPOUT,
        "y *= 1 / share", "pass", DROPOUT_TEST,
    ),
    mutant(
        "Dropout draws another mask on the way back", DROPOUT,
        "return self._masked(dy, cache) if inputs else None",
        "return self.forward(dy)[0] if inputs else None",
        GRADIENTS,
    ),
    mutant(
        "Gate draws another mask on the way back", GATE,
        "return self._times(cache, dy) if inputs else None",
        "return self.forward(dy)[0] if inputs else None",
        D_STEP,
    ),
    mutant(
        "backward updates the weights", DENSE,
        "            self.weight_grad += dw\n",
        "            self.weight_grad += dw\n"
        "            self.weight -= 1e-3 * self.weight_grad\n",
        NOT_MUTATED,
    ),
    mutant(
        "backward writes into the caller's gradient", ACTIVATION,
        "return blockwise(derivative, dy, y)\n\n\nclass Sigmoid",
        "dy *= y > 0\n        return dy\n\n\nclass Sigmoid",
        NOT_MUTATED,
        fails_with="ValueError",  # the check hands out read-only arrays
    ),
    mutant(
        "backward writes into its cache", ACTIVATION,
        "        y = cache\n        return dy * (1 - y * y) if inputs else None",
        "        y = cache\n        y *= y\n        return dy * (1 - y) if inputs else None",
        NOT_MUTATED,
    ),
    mutant(
        "float64 leaks in through an array made without dtype", BLOCKS,
        "get_array_module(first).empty_like(first)",
        "get_array_module(first).empty(first.shape)",
        NOT_MUTATED,
    ),
    mutant(
        "float64 leaks in through BatchNorm's output made without dtype", FEATURES,
        "y = np.empty(x.shape, x.dtype)", "y = np.empty(x.shape)", NOT_MUTATED,
    ),
    mutant(
        "float64 leaks in through BatchNorm's gradient made without dtype", FEATURES,
        "dx = np.empty(x.shape, x.dtype)", "dx = np.empty(x.shape)", NOT_MUTATED,
    ),
    mutant(
        "pictures of a run are drawn in training mode", "minigan/training/sheet.py",
        "generator.forward(z, train=False)", "generator.forward(z)",
        PICTURES,
    ),
    mutant(
        "samples are drawn in training mode", "minigan/training/sampling.py",
        "train=False)[0]", "train=True)[0]",
        f"{RUN_AROUND}::test_a_sample_does_not_depend_on_the_others",
    ),
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
        "self._order[batch * self.size :", "self._order[0 * batch :",
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
        "CuPy is imported with the package wherever it is installed", ARRAYS,
        "import numpy as np\n",
        "import numpy as np\n\ntry:\n    import cupy\nexcept ImportError:\n    cupy = np\n",
        f"{NO_GPU}::test_importing_minigan_leaves_cupy_alone",
    ),
]  # fmt: skip

OF_OUR_OWN = [
    # Dense
    mutant(
        "Dense: backward reshapes the weight where it should transpose", DENSE,
        "wanted.append((rows(dy), w.T, rows(dx)))",
        "wanted.append((rows(dy), w.reshape(self.outputs, self.inputs), rows(dx)))",
        GRADIENTS,
    ),
    mutant(
        "Dense: no bias gradient", DENSE,
        "self.put_grad(self.bias_grad, rows(dy).sum(axis=0), params)", "pass", GRADIENTS,
    ),
    mutant(
        "Dense: the bias gradient is divided by the batch once more", DENSE,
        "rows(dy).sum(axis=0)", "rows(dy).mean(axis=0)", GRADIENTS,
    ),
    mutant(
        "Dense: the gradient is set, not added to", DENSE,
        "self.weight_grad += dw", "self.weight_grad[...] = dw",
        ACCUMULATE,
    ),
    mutant("Dense: params=False is ignored", DENSE, "if params:  # dW", "if True:  # dW",
           f"{TOUCHES}::test_g_step_leaves_d_alone",
           more=((DENSE, "if params is True:", 'if params != "set":'),)),
    mutant(
        "Dense: double backward with the wrong sign", DENSE,
        "self.weight_grad += matmul(rows(dx_bar).T", "self.weight_grad -= matmul(rows(dx_bar).T",
        GRADIENTS,
    ),
    # Activations
    mutant("ReLU: the gradient passes everywhere", ACTIVATION,
           "np.greater(y, 0, out=dx)\n            dx *= dy",
           "np.greater_equal(y, 0, out=dx)\n            dx *= dy", GRADIENTS),
    mutant("LeakyReLU: forward has its slope on the wrong side", ACTIVATION,
           "np.maximum(x, y, out=y)", "np.minimum(x, y, out=y)", GRADIENTS),
    mutant("LeakyReLU: backward has its slope on the wrong side", ACTIVATION,
           *SLOPE_ON_THE_WRONG_SIDE, GRADIENTS),
    mutant(
        "LeakyReLU: both have", ACTIVATION, "np.maximum(x, y, out=y)", "np.minimum(x, y, out=y)",
        "test_values.py::test_functions_without_parameters",
        more=((ACTIVATION, *SLOPE_ON_THE_WRONG_SIDE),),
    ),
    mutant("Tanh: 1 - y for 1 - y^2", ACTIVATION,
           "dy * (1 - y * y)", "dy * (1 - y)", GRADIENTS),
    mutant("Sigmoid: 1 - y for y (1 - y)", ACTIVATION,
           "dy * y * (1 - y)", "dy * (1 - y)", GRADIENTS),
    # Normalisation
    mutant("normalisation: backward forgets the mean of g", NORM,
           "        dx -= self.average(g)\n", "", GRADIENTS),
    mutant("BatchNorm in blocks: backward forgets the mean of g", FEATURES,
           "            along_h += shift\n", "", GRADIENTS),
    mutant("normalisation: backward forgets the variance's part", NORM,
           "dx = h * -self.average(g * h)", "dx = 0 * h", GRADIENTS),
    mutant("BatchNorm in blocks: backward forgets the variance's part", FEATURES,
           "along_h *= slope", "along_h *= 0", GRADIENTS),
    mutant("normalisation: eps outside the root", NORM,
           "get_array_module(x).sqrt(self.variance + eps)",
           "(get_array_module(x).sqrt(self.variance) + eps)", GRADIENTS),
    mutant("BatchNorm in blocks: eps outside the root", NORM,
           "np.sqrt(self.variance + eps)", "(np.sqrt(self.variance) + eps)", GRADIENTS),
    mutant("normalisation: eps outside the root in evaluation mode", NORM,
           "sqrt(variance + eps)", "sqrt(variance) + eps",
           "test_values.py::test_batchnorm_normalises_each_feature"),
    mutant("normalisation: double backward forgets the scale's part", NORM,
           "self.backward(q) - scale * h * self.average(u * dx)", "self.backward(q)", GRADIENTS),
    mutant("normalisation: double backward forgets gamma's gradient", NORM,
           "self.gamma_grad += (dy * g_bar)", "self.gamma_grad += 0 * (dy * g_bar)", GRADIENTS),
    mutant("BatchNorm: momentum the other way round", NORM,
           "moving *= self.momentum", "moving *= 1 - self.momentum", BY_HAND,
           more=((NORM, "moving += (1 - self.momentum)", "moving += self.momentum"),)),
    mutant("BatchNorm: batch statistics in evaluation mode", NORM,
           "if not train:", "if False:", BY_HAND),
    mutant("BatchNorm: evaluation moves the averages", NORM,
           "        if not train:\n",
           "        self.moving_mean += 1e-3\n        if not train:\n", BY_HAND),
    mutant("LayerNorm: statistics over the batch", NORM,
           "tuple(range(-len(self.shape), 0))", "(0,)",
           "test_values.py::test_layernorm_normalises_each_sample"),
    # Dropout
    mutant("Dropout: one mask for all steps", DROPOUT,
           "step=self.step, call=", "step=0, call=", DROPOUT_TEST),
    mutant("Dropout: one mask for all passes of a step", DROPOUT,
           "call=self.calls - 1", "call=0", DROPOUT_TEST),
    mutant("Dropout: the rate is the share to keep", DROPOUT,
           "keep_mask(shape, 1 - self.rate,", "keep_mask(shape, self.rate,", DROPOUT_TEST),
    mutant("Dropout: on in evaluation mode", DROPOUT,
           "(train or self.always) and self.rate > 0", "self.rate > 0", DROPOUT_TEST),
    # Gate
    mutant("Gate: nothing is dropped", GATE, "f *= y", "pass", A_GATE),
    mutant("Gate: not inverted above 0", GATE,
           "(1 - slope) / share", "(1 - slope)", A_GATE),
    mutant("Gate: the slope is not inverted", GATE, "+= slope / share", "+= slope", A_GATE),
    mutant("Gate: its slope on the wrong side", GATE, "np.greater(x,", "np.less(x,", A_GATE),
    mutant("Gate: takes a layer that is more than a Dropout", GATE,
           "type(second) is Dropout", "isinstance(second, Dropout)",
           "test_network.py::test_a_gate_stands_for_plain_layers_only"),
    # Sequential
    mutant("Sequential: x_bar is dropped", NETWORK, "if x_bar is not None:", "if False:", NESTED),
    mutant("Sequential: the second sweep leaves the parameters out", NETWORK,
           "below = layer.backward(below, layer_cache)",
           "below = layer.backward(below, layer_cache, params=False)", NESTED),
    mutant("Sequential: params=False does not reach the layers", NETWORK,
           "None:\n                dy = layer.backward(dy, cache[index], params, wanted)",
           "None:\n                dy = layer.backward(dy, cache[index], True, wanted)",
           f"{TOUCHES}::test_g_step_leaves_d_alone"),
    mutant("Sequential: the layers' tensors are copies", NETWORK,
           "layer.bind(params[at:end],", "layer.bind(params[at:end].copy(),",
           "test_network.py::test_tensors_are_views_of_one_vector"),
    mutant("Sequential: begin_step does not reach the layers", NETWORK,
           "layer.begin_step(step)", "pass",
           "test_network.py::test_clone_is_equal_and_independent",
           RESUME),
    # Losses
    mutant("BCE: divided by the batch twice", LOSSES,
           "return loss, dlogits / logits.size", "return loss, dlogits / logits.size / len(logits)",
           BCE),
    mutant("BCE: not divided by the batch", LOSSES,
           "return loss, dlogits / logits.size", "return loss, dlogits",
           "test_layers.py::test_every_gradient_and_second_derivative"),
    mutant("BCE: sigmoid(x) - t cancels in the tails", LOSSES,
           "(1 - t) * sigmoid(logits) - t * sigmoid(-logits)", "sigmoid(logits) - t",
           "test_values.py::test_the_tails_keep_all_their_digits"),
    mutant("softplus overflows", FUNCTIONS,
           "np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))", "np.log1p(np.exp(x))",
           "test_losses.py::test_finite_in_float32_at_extreme_logits",
           fails_with="RuntimeWarning"),
    mutant("a target of another shape is broadcast", LOSSES,
           "if target.shape != scores.shape:", "if target.size != scores.size:",
           "test_losses.py::test_targets_that_would_broadcast_are_refused",
           fails_with="Failed"),  # pytest's word for an exception that did not come
    mutant("hinge: the margin on the other side", LOSSES,
           "active = margin > 0", "active = margin < 0", "test_losses.py::test_scores"),
    mutant("minimax: the gradient's sign", LOSSES,
           "-sigmoid(logits) / logits.size", "sigmoid(logits) / logits.size",
           f"{STEP}::TestLosses::test_g_step[minimax]"),
    mutant("least squares: the gradient of the loss without its 1/2", LOSSES,
           "error / scores.size", "2 * error / scores.size",
           f"{STEP}::TestLosses::test_d_step[least squares]"),
    mutant("a loss waits for the GPU", LOSSES,
           "return (error * error).mean() / 2, error / scores.size",
           "return float((error * error).mean() / 2), error / scores.size",
           "test_strict_array_module.py::test_losses_agree_with_numpy"),
    # Convolution and up-sampling
    mutant("up-sampling: backward takes one pixel of the block", "minigan/layers/upsample.py",
           "self._blocks(dy[start:stop]).sum(axis=(2, 4))",
           "self._blocks(dy[start:stop])[:, :, 0, :, 0]", ALL_LAYERS),
    mutant("up-sampling: backward takes the mean of the block", "minigan/layers/upsample.py",
           ".sum(axis=(2, 4))", ".mean(axis=(2, 4))", ALL_LAYERS),
    mutant("BatchNorm of images: every column has its own statistics", NORM,
           "features, *, axis=-1, momentum", "features, *, axis=-2, momentum",
           "test_values.py::test_batchnorm_normalises_each_feature",
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
    mutant("im2col: the image lies on the wrong side of an odd zero", "minigan/kernels/cpu/im2col.py",
           "padded[:, top : top + height, left : left + width]",
           "padded[:, bottom : bottom + height, right : right + width]",
           "test_conv_kernels.py"),
    mutant("minimal filtering: what lay in front of the image before stays there",
           "minigan/kernels/cpu/minimal.py",
           "lines[: -(-before // stride)] = 0", "pass", "test_conv_kernels.py"),
    mutant("minimal filtering: what lay behind the image before stays there",
           "minigan/kernels/cpu/minimal.py",
           "lines[(before + size) // stride :] = 0", "pass", "test_conv_kernels.py"),
    mutant("minimal filtering: the pixels after the last window keep what was there",
           "minigan/kernels/cpu/filtering.py",
           "d[..., tiles * m :, :] = 0", "pass", "test_conv_kernels.py"),
    mutant("minimal filtering: a cell of two tiles has one gradient",
           "minigan/kernels/cpu/filtering.py",
           "m : m, :] += shared", "m : m, :] = shared", "test_conv_kernels.py"),
    mutant("minimal filtering: the interpolation is not divided by its values at the points",
           "minigan/kernels/cpu/filtering.py",
           "/ np.array([*divisors, 1])[:, None]", "", "test_conv_kernels.py"),
    mutant("minimal filtering: at infinity the lowest coefficient",
           "minigan/kernels/cpu/filtering.py", "np.eye(n)[-1:]", "np.eye(n)[:1]",
           "test_conv_kernels.py"),
    mutant("minimal filtering: two tiles share one cell, whatever the taps",
           "minigan/kernels/cpu/filtering.py", "for i in range(self.overlap)", "for i in range(1)",
           "test_conv_kernels.py"),
    mutant("minimal filtering: an image's last column is left out, where its cell is not whole",
           "minigan/kernels/cpu/minimal.py",
           "pairwise((start, first, last, stop))", "pairwise((start, first, last))",
           "test_conv_kernels.py"),
    mutant("minimal filtering: dw of the last chunk and row products alone",
           "minigan/kernels/cpu/minimal.py", "taps += own", "taps[...] = own",
           "test_conv_kernels.py"),
    mutant("minimal filtering: all of a wide layer's transformed filters at once",
           "minigan/kernels/cpu/minimal.py",
           "workspace.cut(self.products[0], workspace.CHUNK_BYTES, bytes_u)",
           "[(0, self.products[0])]", "test_conv_kernels.py"),
    mutant("minimal filtering: large tiles for a small batch", "minigan/kernels/cpu/filtering.py",
           "if windows < WINDOWS_FOR_LARGE_TILES", "if False", "test_conv_kernels.py"),
    mutant("minimal filtering: every phase has the taps of the first",
           "minigan/kernels/cpu/minimal.py",
           "yield w[i::sr, :, taps]", "yield w[::sr, :, taps]", "test_conv_kernels.py"),
    mutant("threads: the last range is left out", "minigan/threads.py",
           "deque(range(len(ranges)))", "deque(range(len(ranges) - 1))",
           "test_threads.py::test_results_are_those_of_each_call_many_times_over"),
    mutant("same padding: the odd zero goes in front", "minigan/kernels/geometry.py",
           "return zeros // 2, zeros - zeros // 2", "return zeros - zeros // 2, zeros // 2",
           "test_geometry.py"),
    mutant("Conv2d: the second order of the weights reads x", "minigan/layers/conv.py",
           "conv_y_dw(dx_bar, dy,", "conv_y_dw(cache, dy,", ALL_LAYERS),
    mutant("Conv2d: no bias gradient", "minigan/layers/conv.py",
           "self.put_grad(self.bias_grad, total, params)", "pass", ALL_LAYERS),
    # Optimizers
    mutant("Adam: no bias correction", OPTIM,
           "(1 - self.b1) / (1 - self.b1**self.t)", "1 - self.b1", FORMULA),
    mutant("Adam: v decays with b1", OPTIM, "v *= self.b2", "v *= self.b1", FORMULA),
    mutant("Adam: eps inside the correction", OPTIM,
           "scratch += self.eps / root_v_scale", "scratch += self.eps", FORMULA),
    mutant("RMSProp: eps inside the root", OPTIM,
           "xp.sqrt(s, out=scratch)\n        scratch += self.eps",
           "xp.sqrt(s + self.eps, out=scratch)", FORMULA),
    mutant("SGD: momentum acts on the gradient", OPTIM,
           "        velocity += g\n", "        g += velocity\n        velocity[...] = g\n",
           FORMULA),
    mutant("optimizers: steps are not counted", OPTIM, "self.t += 1", "self.t = 1", FORMULA),
    mutant("optimizers: the last block is left out", BLOCKS,
           "parallel(work, size, size, BLOCK)",
           "parallel(work, size // BLOCK * BLOCK, size, BLOCK)", FORMULA),
    mutant("moving average: the new weights get the old ones' share", "minigan/average.py",
           "average += (1 - keep) * current", "average += keep * current",
           "test_average.py::test_against_the_formula"),
    mutant("moving average: an update counts for one step", "minigan/average.py",
           "steps = 1 if t <= self.EVERY else self.EVERY", "steps = 1",
           "test_average.py::test_against_the_formula"),
    mutant("moving average: the source's arrays are shared", "minigan/average.py",
           "self.decay, self.network = source, decay, source.clone()",
           "self.decay, self.network = source, decay, source",
           "test_average.py::test_it_is_a_network_of_its_own_like_the_source"),
    # The training step
    mutant("D also trains on G's loss", EXAMPLE,
           "D.backward(dlogits, d_cache, params=False)", "D.backward(dlogits, d_cache)",
           f"{TOUCHES}::test_g_step_leaves_d_alone"),
    mutant("D's gradients pile up from step to step", EXAMPLE,
           ", cache, params=\"set\"", ", cache, params=True", f"{TOUCHES}::test_gradients_do_not_pile_up"),
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
    mutant("random numbers do not depend on the step", RANDOM,
           "words = (int(seed), zlib.crc32(where.encode()), int(step), int(call))\n    return",
           "words = (int(seed), zlib.crc32(where.encode()), 0, int(call))\n    return",
           "test_random.py::test_an_address_gives_the_same_numbers_always"),
    mutant("the same noise in every step of a run", RUN,
           "where=where, step=self.step)", "where=where, step=0)",
           f"{RUN_AROUND}::test_every_z_is_new"),
    mutant("masks on the GPU do not depend on the step", DROPOUT,
           "**self._next_address()).bit", "**(self._next_address() | {'step': 0})).bit",
           "test_strict_array_module.py::TestDropout::test_keep_mask_is_addressed"),
    mutant("initial weights do not depend on the layer", BASE,
           'random.generator(self.seed, f"{self.where}/{name}")',
           "random.generator(self.seed, name)",
           "test_network.py::test_layers_of_one_network_draw_different_weights"),
    # The numeric check itself
    mutant("the numeric check lets NaN pass", GRADCHECK,
           "all(error <= TOLERANCE for", "all(not error > TOLERANCE for",
           f"{NOT_BLIND}::test_an_error_that_is_not_a_number"),
    mutant("the numeric check is too kind", GRADCHECK,
           "\nTOLERANCE = 1e-7", "\nTOLERANCE = 1e-5",
           f"{NOT_BLIND}::test_an_error_of_one_in_a_million"),
]  # fmt: skip

MUTANTS = SEEN_ELSEWHERE + OF_OUR_OWN
