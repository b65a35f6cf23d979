"""Twenty faults.  Each is an edit of kernels/plain.py; most have been seen in somebody's engine.

Do not read on if you want to solve them.
"""

from dataclasses import dataclass

from ..kernels import plain


@dataclass(frozen=True)
class Puzzle:
    """A fault.

    title: what one notices, without a word of the cause.  edits: (text, new text) pairs; each text
    occurs once in plain.py.  hints: three, from where to look to what is wrong.
    shows: what is seen of it, "gradcheck", "curve", "samples", or "number", the fact that fails.
    """

    title: str
    edits: tuple
    hints: tuple
    shows: str = "gradcheck"

    def source(self):
        """The faulty engine's text."""
        with open(plain.__file__, encoding="utf-8") as file:
            text = file.read()
        for old, new in self.edits:
            if text.count(old) != 1:
                raise ValueError(f"{self.title}: {old!r} occurs {text.count(old)} times")
            text = text.replace(old, new)
        return text


def _puzzle(title, old, new, *hints, shows="gradcheck", more=()):
    return Puzzle(title, ((old, new), *more), hints, shows)


PUZZLES = (
    _puzzle(
        "The input learns nothing sensible",
        "    return dy @ w.T\n",
        "    return dy @ w.reshape(w.shape[::-1])\n",
        "Which column of the table is wrong, the input's or the parameters'?",
        "Shapes can agree where numbers do not. Write out one element of dx for a 2 x 3 weight.",
        "dx = dy W^T. A reshape has the transpose's shape, and other elements.",
    ),
    _puzzle(
        "A parameter that learns too slowly",
        "    return rows(dy).sum(axis=0)\n",
        "    return rows(dy).mean(axis=0)\n",
        "One kind of parameter is wrong wherever it occurs.",
        "How many rows of y does one element of the bias enter?",
        "The mean over the batch is taken once, in the loss. A bias is read by all rows: sum them.",
    ),
    _puzzle(
        "Half of the units are deaf, the other half are not",
        "    return np.where(y > 0, dy, slope * dy)\n",
        "    return np.where(y > 0, slope * dy, dy)\n",
        "It is a function without parameters.",
        "Draw f and below it f', on both sides of 0.",
        "f' is 1 where y > 0 and the slope elsewhere; here it is the other way round.",
    ),
    _puzzle(
        "Pictures with a will of their own",
        "    return dy * (1 - y * y)\n",
        "    return dy * (1 - y)\n",
        "The last layer of most generators.",
        "The derivative of an odd function is even: f'(-x) = f'(x). Is this one?",
        "tanh' = 1 - tanh^2, and y is tanh: 1 - y * y.",
    ),
    _puzzle(
        "All gradients pass, and training is too calm",
        "    return dy * mask / keep\n",
        "    return dy * mask\n",
        "Compare a layer in training with the same layer in evaluation.",
        "What is the mean of y where the mean of x is 1?",
        "Dropout is inverted here: what is kept is divided by the share that is kept.",
        shows="number",
    ),
    _puzzle(
        "Gradients that should add up to nothing",
        "    return scale * (g - mean_of(g, axes, across) - h * mean_of(g * h, axes, across))\n",
        "    return scale * (g - h * mean_of(g * h, axes, across))\n",
        "Two layers have it in common.",
        "x_i changes its own y, and that of all others of its group. In how many ways?",
        "The mean depends on every x: its part of the derivative is - mean_of(g).",
    ),
    _puzzle(
        "The first steps are giant's steps",
        "m * (1 - b1) / (1 - b1**t)",
        "m * (1 - b1) / (1 - b1)",
        "No derivative is wrong. What comes after the derivatives?",
        "Give the optimizer a gradient that is always the same, and look at its first five steps.",
        "The weights b1^age of t steps add up to (1 - b1^t) / (1 - b1). The power t is missing.",
        shows="number",
    ),
    _puzzle(
        "Only one tap in four is heard",
        "        dpadded[touched] += dense_dx(dy, w[i, j])\n",
        "        dpadded[touched] = dense_dx(dy, w[i, j])\n",
        "Both convolutions suffer, one going forward, one going back.",
        "How many windows of a 3 x 3 kernel with stride 1 read the same pixel?",
        "Windows overlap: what they send to a pixel adds up, += and not =.",
    ),
    _puzzle(
        "Out of place by a pixel",
        "    return dpadded[:, top : top + height, left : left + width]\n",
        "    return dpadded[:, :height, :width]\n",
        "It only happens where there is padding.",
        "Which rows of the padded image are those of the image?",
        "The image begins at (top, left) in the padded one.",
    ),
    _puzzle(
        "Whatever the loss, it grows with the batch",
        "    loss = (t * softplus(-x) + (1 - t) * softplus(x)).mean()\n",
        "    loss = (t * softplus(-x) + (1 - t) * softplus(x)).sum()\n",
        "The numbers printed are too large, by a round factor.",
        "Twice the batch, twice the loss, twice the gradient: they agree with each other.",
        "A loss is a mean over the batch, divided once, and so is its gradient: by x.size.",
        shows="curve",
        more=(
            (
                "((1 - t) * sigmoid(x) - t * sigmoid(-x)) / x.size  # = (p - t) / N",
                "(1 - t) * sigmoid(x) - t * sigmoid(-x)  # = p - t",
            ),
        ),
    ),
    _puzzle(
        "Sure of itself, and still pushing",
        "    return np.maximum(margin, 0).mean(), (margin > 0) * np.full_like(x, sign / x.size)\n",
        "    return np.maximum(margin, 0).mean(), np.full_like(x, sign / x.size)\n",
        "It is a loss.",
        "Where the loss is flat, what is its slope?",
        "Beyond the margin the hinge's gradient is 0.",
    ),
    _puzzle(
        "Right in training, wrong in evaluation",
        "    return dy * gamma * scale, (dy * h).sum(axis=shared), dy.sum(axis=shared)\n",
        "    dx = jacobian(dy * gamma, h, scale, shared, alone)\n"
        "    return dx, (dy * h).sum(axis=shared), dy.sum(axis=shared)\n",
        "The table has two modes.",
        "What depends on x in evaluation, the mean, the variance, or neither?",
        "Moving statistics are constants: dx = gamma scale dy, without the batch's formula.",
    ),
    _puzzle(
        "Evaluation draws other pictures than training",
        "    average(moving_variance, variance.reshape(-1), momentum)\n",
        "    average(moving_variance, variance.reshape(-1), 1 - momentum)\n",
        "Training is as it should be. What is made in training and used only afterwards?",
        "After one batch, how far should a moving average have moved, with momentum 0.99?",
        "moving = momentum moving + (1 - momentum) batch, for the variance as for the mean.",
        shows="number",
    ),
    _puzzle(
        "A quarter of the way up",
        "    return blocks.sum(axis=(2, 4))\n",
        "    return blocks[:, :, 0, :, 0]\n",
        "A layer without parameters that makes images larger.",
        "Which outputs has one input pixel become?",
        "A pixel is read by its whole block, so dx is the block's sum.",
    ),
    _puzzle(
        "The other classes do not care",
        "    return loss, (np.exp(log_p) * t.sum(axis=-1, keepdims=True) - t) / len(x)\n",
        "    return loss, (np.exp(log_p) - 1) * t / len(x)\n",
        "A loss of several logits.",
        "If the logit of a wrong class grows, does the loss?",
        "The softmax's Jacobian is no diagonal: each logit moves all p. dx = (p - t) / N.",
    ),
    _puzzle(
        "One line through the whole batch",
        "    return fake + epsilon * (real - fake)\n",
        "    return fake + epsilon[:1] * (real - fake)\n",
        "WGAN-GP runs, and its critic is worse than it should be.",
        "Where, between real and generated samples, are the slopes looked at?",
        "Each sample has an epsilon of its own, not the first one's.",
        shows="number",
    ),
    _puzzle(
        "Curvature, where there should be some",
        "    return dx_bar * slope, dx_bar * dy * slope * (-2 * y)\n",
        "    return dx_bar * slope, None\n",
        "First order fine, second order not, and only for some activations.",
        "dx = f'(x) dy. On which of the two does it depend, dy, x, or both?",
        "x_bar = f''(x) dy dx_bar; of tanh f'' = -2 y (1 - y^2). It is 0 for ReLU, not here.",
    ),
    _puzzle(
        "A penalty that pushes harder the steeper it gets",
        "(excess / norm) * g\n",
        "excess * g\n",
        "Losses of slopes have gradients too.",
        "What is the length of d|g| / dg?",
        "d|g| / dg = g / |g|: a direction, of length one. The norm is missing below.",
    ),
    _puzzle(
        "Stretching costs nothing",
        "    q = -scale * (dx_bar * mean_of(g * h, axes, across) "
        "+ g * mean_of(dx_bar * h, axes, across))\n",
        "    q = -scale * dx_bar * mean_of(g * h, axes, across)\n",
        "Second order, and of the normalising layers alone.",
        "h stands twice in dx = scale (g - mean(g) - h mean(g h)).",
        "q = dR/dh has a part for each h: also g mean(dx_bar h).",
    ),
    _puzzle(
        "A world without black",
        "    return pixels.astype(dtype) * ((high - low) / 255) + low\n",
        "    return pixels.astype(dtype) * ((high - low) / 255)\n",
        "No layer, no loss and no optimizer is wrong.",
        "What does D see of real pictures that G, behind its tanh, can never draw?",
        "Bytes become numbers from low to high; low is not added.",
        shows="samples",
    ),
)
