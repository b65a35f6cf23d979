"""Exported tensors in networks of torch.nn, channels first, which then compute the same."""

import numpy as np
import pytest
from reference_networks import MODELS, assert_same_outputs, moved, networks, samples

import minigan as mg
from minigan import export
from minigan.export.named import leaves
from minigan.kernels import geometry, transposed_geometry

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional
pytestmark = pytest.mark.host


class Conv(nn.Conv2d):
    """With zeros (left, right, top, bottom), which nn.Conv2d has the same on both sides."""

    def forward(self, x):
        return super().forward(functional.pad(x, self.zeros))


class ConvTranspose(nn.ConvTranspose2d):
    """The whole adjoint, less what falls on zeros, and with pixels that no window reaches."""

    def forward(self, x):
        (top, _), (left, _) = self.geometry.padding
        height, width = self.geometry.size
        y = functional.conv_transpose2d(x, self.weight, stride=self.stride)
        below, right = top + height - y.shape[2], left + width - y.shape[3]
        y = functional.pad(y, (-left, right, -top, below))
        return y if self.bias is None else y + self.bias[:, None, None]


def turned(module, axis):
    """The module, whose features are on this axis in place of the one it looks at."""
    normalize, there = module.forward, -1 if isinstance(module, nn.LayerNorm) else 1
    module.forward = lambda x: normalize(x.transpose(there, axis)).transpose(there, axis)
    return module


def counterpart(layer, shape):
    """The module that does what a layer does to samples of our `shape`, channels first."""
    if isinstance(layer, mg.Dense):
        if len(shape) == 3:
            return nn.Conv2d(layer.inputs, layer.outputs, 1, bias=layer.use_bias)
        return nn.Linear(layer.inputs, layer.outputs, bias=layer.use_bias)
    if isinstance(layer, mg.Conv2d):
        g = geometry(shape[:2], layer.kernel, layer.stride, layer.padding)
        module = Conv(layer.inputs, layer.outputs, g.kernel, g.stride, bias=layer.use_bias)
        module.zeros = (*g.padding[1], *g.padding[0])
        return module
    if isinstance(layer, mg.ConvTranspose2d):
        g = transposed_geometry(shape[:2], layer.kernel, layer.stride, layer.padding)
        module = ConvTranspose(layer.inputs, layer.outputs, g.kernel, g.stride, bias=layer.use_bias)
        module.geometry = g
        return module
    if isinstance(layer, mg.BatchNorm):
        kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
        axis = {1: 2, 2: 3, 3: 1}[layer.axis % 4] if len(shape) == 3 else 1
        return turned(kind(layer.features, eps=layer.eps), axis)
    if isinstance(layer, mg.LayerNorm):
        if len(layer.shape) == 3:
            return nn.LayerNorm((layer.shape[2], *layer.shape[:2]), eps=layer.eps)
        return turned(nn.LayerNorm(layer.shape, eps=layer.eps), 1)
    if isinstance(layer, mg.Reshape):
        three = len(layer.shape) == 3
        return nn.Unflatten(1, (layer.shape[2], *layer.shape[:2]) if three else layer.shape)
    return {
        mg.UpSample2d: lambda: nn.Upsample(scale_factor=layer.factor),
        mg.LeakyReLU: lambda: nn.LeakyReLU(layer.slope),
        mg.Dropout: lambda: nn.Dropout(layer.rate),
        mg.Flatten: nn.Flatten,
        mg.ReLU: nn.ReLU,
        mg.Tanh: nn.Tanh,
        mg.Sigmoid: nn.Sigmoid,
    }[type(layer)]()


def torch_network(network, shape):
    """A torch.nn.Sequential of the same nesting as ours, in evaluation mode."""
    modules = []
    for layer in network.layers:
        inner = isinstance(layer, mg.Sequential)
        modules.append((torch_network if inner else counterpart)(layer, shape))
        shape = layer.output_shape(shape)
    return nn.Sequential(*modules).eval()


def assert_the_same_in_torch(network, shape, tolerance=1e-10):
    net = torch_network(network, shape).to(getattr(torch, network.dtype.name))
    arrays = export.tensors(network, "torch", shape)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    x = samples(network, shape)
    with torch.no_grad():
        y = net(torch.from_numpy(np.moveaxis(x, -1, 1) if len(shape) == 3 else x)).numpy()
    ours = network.forward(x, train=False)[0]
    assert_same_outputs(np.moveaxis(y, 1, -1) if ours.ndim == 4 else y, ours, tolerance)


@pytest.mark.parametrize("key", MODELS)
def test_the_networks_of_the_examples(key):
    for network, shape in networks(key, "float64"):
        assert_the_same_in_torch(network, shape)


NETWORKS = {
    "float32": ((6,), lambda: [mg.Dense(6, 4), mg.Tanh()]),
    "flattened": ((3, 2, 4), lambda: [mg.Flatten(), mg.Dense(24, 5)]),
    "between": (
        (3, 2, 4),
        lambda: [
            mg.Flatten(), mg.LeakyReLU(0.2), mg.BatchNorm(24), mg.LayerNorm(24), mg.Flatten(),
            mg.Dense(24, 5), mg.ReLU(), mg.Dense(5, 7, use_bias=False),
        ],
    ),
    "made": (
        (5,),
        lambda: [
            mg.Dense(5, 24), mg.BatchNorm(24), mg.LayerNorm(24), mg.Tanh(), mg.Reshape(24),
            mg.Reshape((3, 2, 4)), mg.Dropout(0.3), mg.Conv2d(4, 2, 3),
        ],
    ),
    "nested": (
        (3, 2, 4),
        lambda: [
            mg.Sequential([mg.Flatten()]),
            mg.Sequential([mg.Dense(24, 12), mg.Sequential([mg.BatchNorm(12)])]),
            mg.Sequential([mg.Reshape((2, 3, 2)), mg.UpSample2d(3)]),
        ],
    ),
    "both in one": ((3, 2, 4), lambda: [mg.Flatten(), mg.Sigmoid(), mg.Reshape((3, 2, 4))]),
    "pixels": ((3, 2, 4), lambda: [mg.Dense(4, 5), mg.BatchNorm(3, axis=1), mg.BatchNorm(5)]),
    "rows": ((5,), lambda: [mg.Dense(5, 12), mg.Reshape((3, 4)), mg.Dense(4, 2), mg.Sigmoid()]),
    "whole images": ((3, 2, 4), lambda: [mg.LayerNorm((3, 2, 4))]),
    "channels": ((3, 2, 4), lambda: [mg.LayerNorm(4)]),
    "convolutions": (
        (9, 8, 2),
        lambda: [
            mg.Conv2d(2, 3, (4, 3), stride=(2, 3)),
            mg.ConvTranspose2d(3, 2, (3, 2), stride=(1, 3), padding=1),
            mg.ConvTranspose2d(2, 4, (3, 2), stride=(2, 5)),
            mg.Conv2d(4, 2, 3, padding=((0, 2), (1, 0)), use_bias=False),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_any_order_of_layers(name):
    shape, make = NETWORKS[name]
    dtype, tolerance = ("float32", 1e-5) if name == "float32" else ("float64", 1e-10)
    network = moved(mg.Sequential(make(), dtype=dtype))
    assert_the_same_in_torch(network, shape, tolerance)


def test_the_names_are_those_of_a_torch_sequential():
    for key in MODELS:
        for network, shape in networks(key):
            names = set(export.tensors(network, "torch", shape))
            theirs = torch_network(network, shape).state_dict()
            assert names == {name for name in theirs if "num_batches" not in name}
            assert len(names) == sum(
                len(layer.param_specs) + len(layer.buffer_specs) for _, layer in leaves(network)
            )
