"""A minigan network read out to PyTorch, and the training steps of the examples in PyTorch.

Only the values of parameters and dropout masks are ours; every forward is written with
PyTorch's own functions, the padding worked out here, and every gradient is autograd's.
"""

from functools import partial

import torch
from torch.nn import functional

import minigan as mg

bce = functional.binary_cross_entropy_with_logits


class TorchNetwork:
    """A Sequential in PyTorch.

    share: keep the tensors in the network's own memory, so that training one trains the other.
    params: list of leaf tensors in the order of `network.named_tensors()`.
    buffers: list of the moving means and variances, in the order of the layers.
    """

    def __init__(self, network, share=False):
        self.network = network

        def tensor(array):
            return torch.from_numpy(array if share else array.copy())

        self.params = [tensor(param).requires_grad_() for _, param, _ in network.named_tensors()]
        self.buffers = [
            tensor(getattr(layer, name)) for layer in network.layers for name in layer.buffer_specs
        ]
        self._calls = {}

    def begin_step(self, step):
        self._step, self._calls = step, {}

    def __call__(self, x, train=True):
        params, buffers = iter(self.params), iter(self.buffers)
        for layer in self.network.layers:
            x = self._layer(layer, x, params, buffers, train)
        return x

    def _layer(self, layer, x, params, buffers, train):
        if isinstance(layer, mg.Dense):
            return _with_bias(layer, x @ next(params), params)
        if isinstance(layer, mg.Conv2d):
            return _with_bias(layer, _conv(layer, x, next(params)), params)
        if isinstance(layer, mg.ConvTranspose2d):
            return _with_bias(layer, _conv_transpose(layer, x, next(params)), params)
        if isinstance(layer, mg.BatchNorm):
            return _batch_norm(layer, x, params, buffers, train)
        if isinstance(layer, mg.UpSample2d):
            return _channels_last(functional.interpolate, x, scale_factor=layer.factor)
        if isinstance(layer, mg.LeakyReLU):
            return functional.leaky_relu(x, layer.slope)
        if isinstance(layer, mg.ReLU):
            return functional.relu(x)
        if isinstance(layer, mg.Tanh):
            return torch.tanh(x)
        if isinstance(layer, mg.Sigmoid):
            return torch.sigmoid(x)
        if isinstance(layer, mg.Reshape):
            return x.reshape(len(x), *layer.shape)
        if isinstance(layer, mg.Flatten):
            return x.flatten(1)
        if isinstance(layer, mg.Dropout):
            if not (train or layer.always):
                return x
            return x * self._mask(layer, x) / mg.random.kept_share(1 - layer.rate)
        if isinstance(layer, mg.RandomShift):
            return self._moved(layer, x) if train else x
        raise NotImplementedError(f"no PyTorch counterpart of {layer!r}")

    def _next_call(self, layer):
        call = self._calls[layer.where] = self._calls.get(layer.where, -1) + 1
        return call

    def _moved(self, layer, x):
        """Image by image: cut out of a larger ground of zeros."""
        n, height, width, _ = x.shape
        call, images = self._next_call(layer), []
        address = dict(seed=layer.seed, where=layer.where, step=self._step, call=call)
        for image, u in zip(x, mg.random.uniform((n, 2), dtype="float64", **address)):
            most = int(layer.share * height), int(layer.share * width)
            down, right = (int(a * (2 * m + 1)) - m for a, m in zip(u, most))
            ground = functional.pad(image, (0, 0, width, width, height, height))
            images.append(ground[height - down :, width - right :][:height, :width])
        return torch.stack(images)

    def _mask(self, layer, x):
        call = self._next_call(layer)
        mask = mg.random.keep_mask(
            tuple(x.shape),
            1 - layer.rate,
            seed=layer.seed,
            where=layer.where,
            step=self._step,
            call=call,
        )
        return torch.from_numpy(mask)


class Adam(torch.optim.Adam):
    """PyTorch's, and then every parameter is taken back to within `bound` rates of where it was."""

    def __init__(self, params, lr, betas, eps, bound):
        super().__init__(params, lr, betas, eps)
        self.bound = bound

    @torch.no_grad()
    def step(self):
        (group,) = self.param_groups
        most, before = group["lr"] * self.bound, [param.clone() for param in group["params"]]
        super().step()
        for param, old in zip(group["params"], before):
            param.clamp_(old - most, old + most)


def _with_bias(layer, y, params):
    return y + next(params) if layer.use_bias else y


def _channels_last(operation, x, *arguments, **keywords):
    """`operation`, which wants (N, C, H, W), on x (N, H, W, C)."""
    return operation(x.permute(0, 3, 1, 2), *arguments, **keywords).permute(0, 2, 3, 1)


def _channels_first(weight):
    return weight.permute(3, 2, 0, 1).contiguous()


def _conv(layer, x, weight):
    """weight (k, k, inputs, outputs); square kernels, images and strides."""
    before, after = _zeros(layer, x.shape[1])
    x = functional.pad(x, (0, 0, before, after, before, after))
    return _channels_last(functional.conv2d, x, _channels_first(weight), stride=layer.stride)


def _conv_transpose(layer, x, weight):
    """weight (k, k, outputs, inputs).  The whole adjoint, less what falls on padding."""
    y = _channels_last(functional.conv_transpose2d, x, _channels_first(weight), stride=layer.stride)
    size = x.shape[1] * layer.stride if layer.padding == "same" else None
    before, after = _zeros(layer, size)
    stop = y.shape[1] - after
    return y[:, before:stop, before:stop]


def _zeros(layer, size):
    """The padding (before, after) of a convolution over `size` pixels."""
    if layer.padding == "same":
        total = max((-(-size // layer.stride) - 1) * layer.stride + layer.kernel - size, 0)
        return total // 2, total - total // 2
    return (0, 0) if layer.padding == "valid" else (layer.padding, layer.padding)


def _batch_norm(layer, x, params, buffers, train):
    """PyTorch's functions in training; it leaves the moving averages, which are biased in ours."""
    gamma, beta, moving = next(params), next(params), (next(buffers), next(buffers))
    x = x.transpose(1, layer.axis)
    if train:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        for average, latest in zip(moving, (x.mean(axes), x.var(axes, correction=0))):
            average.mul_(layer.momentum).add_((1 - layer.momentum) * latest.detach())
    y = functional.batch_norm(
        x, *([None, None] if train else moving), gamma, beta, training=train, eps=layer.eps
    )
    return y.transpose(1, layer.axis)


# The training steps.


def one_pass_step(G, D, opt_g, opt_d, real, z_d, z_g):
    """M1: real and generated images go through D together."""
    ones = torch.ones(len(real), 1).to(real)
    opt_d.zero_grad()
    real_logits, fake_logits = D(torch.cat([real, G(z_d).detach()])).split(len(real))
    d_loss = bce(real_logits, ones) + bce(fake_logits, 0 * ones)
    d_loss.backward()
    opt_d.step()
    opt_g.zero_grad()
    g_loss = bce(D(G(z_g)), ones)
    g_loss.backward()
    opt_g.step()
    return measured(d_loss, g_loss, real_logits, fake_logits)


def two_pass_step(G, D, opt_g, opt_d, real, z_d, z_g, real_label, fake_label, g_label, share=1.0):
    """M2, M3: D normalises real and generated images each by themselves.

    The labels are (N, 1); share: of each of the two terms in D's loss.
    """
    opt_d.zero_grad()
    real_logits, fake_logits = D(real), D(G(z_d).detach())
    d_loss = share * (bce(real_logits, real_label) + bce(fake_logits, fake_label))
    d_loss.backward()
    opt_d.step()
    opt_g.zero_grad()
    g_loss = bce(D(G(z_g)), g_label)
    g_loss.backward()
    opt_g.step()
    return measured(d_loss, g_loss, real_logits, fake_logits)


def measured(d_loss, g_loss, real_logits, fake_logits):
    """What the examples log of such a step, but for |dfake|: dict name -> number."""
    values = dict(
        d_loss=d_loss,
        g_loss=g_loss,
        d_real=real_logits.sigmoid().mean(),
        d_fake=fake_logits.sigmoid().mean(),
    )
    return {name: value.item() for name, value in values.items()}


two_pass_mean_step = partial(two_pass_step, share=0.5)  # M5


def same_fakes_step(G, D, opt_g, opt_d, real, z, _z_g, real_label, fake_label, g_label):
    """M6: G learns from the images that D was trained on."""
    fake = G(z)
    opt_d.zero_grad()
    (bce(D(real), real_label) + bce(D(fake.detach()), fake_label)).backward()
    opt_d.step()
    opt_g.zero_grad()
    bce(D(fake), g_label).backward()
    opt_g.step()


def g_first_step(G, D, opt_g, opt_d, real, z, _z_g, real_label, fake_label, g_label):
    """M2 as it was: G before D, both on the same z."""
    opt_g.zero_grad()
    bce(D(G(z)), g_label).backward()
    opt_g.step()
    opt_d.zero_grad()
    fake = G(z).detach()
    (bce(D(real), real_label) + bce(D(fake), fake_label)).backward()
    opt_d.step()


def simultaneous_step(G, D, opt_g, opt_d, real, z, _z_g, real_label, fake_label, g_label):
    """M5 as it was: both gradients at the old weights, from one pass of D over the fakes."""
    fake = G(z)
    real_logits, fake_logits = D(real), D(fake)
    d_loss = (bce(real_logits, real_label) + bce(fake_logits, fake_label)) / 2
    d_grads = torch.autograd.grad(d_loss, D.params, retain_graph=True)
    g_grads = torch.autograd.grad(bce(fake_logits, g_label), G.params)
    for params, grads, optimizer in ((D.params, d_grads, opt_d), (G.params, g_grads, opt_g)):
        for param, grad in zip(params, grads):
            param.grad = grad
        optimizer.step()


def softmax_step(G, D, opt_g, opt_d, real, z_d, z_g, train=True):
    """M4: D has two logits; train: is G in training mode for D?"""
    n = len(real)
    real_class, fake_class = torch.ones(n, dtype=int), torch.zeros(n, dtype=int)
    with torch.no_grad():
        fake = G(z_d, train=train)
    opt_d.zero_grad()
    logits = D(torch.cat([real, fake]))
    functional.cross_entropy(logits, torch.cat([real_class, fake_class])).backward()
    opt_d.step()
    opt_g.zero_grad()
    functional.cross_entropy(D(G(z_g)), real_class).backward()
    opt_g.step()


def softmax_evaluated_step(*arguments):
    """M4 as it was: D sees G in evaluation mode."""
    softmax_step(*arguments, train=False)
