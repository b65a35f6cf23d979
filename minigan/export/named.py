"""The tensors of a network by name, in minigan's layout or in PyTorch's, and back.

    tensors(G)                           {"0.dense.weight": (100, 256), ...}
    tensors(G, "torch", (100,))          {"0.weight": (256, 100), ...}
    fill(G, arrays, (100,))              either of them back, bit for bit

The names for PyTorch are those of a `torch.nn.Sequential` with a module for each layer.  Its images
are channels first, so it flattens them in another order than ours; what comes out in the same order
on both sides is a Dense layer's input rows, or output columns, exchanged.

A layout is written down once, as places: for each name, where in the network's flat vector every
element lies.  To export is to read there, to import is to write there.
"""

import math

import numpy as np

from ..arrays import to_host
from ..layers import BatchNorm, Conv2d, ConvTranspose2d, Dense, Flatten, LayerNorm
from ..network import Sequential

LAYOUTS = ("minigan", "torch")
TORCH_NAMES = {
    "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # fmt: skip


def tensors(network, layout="minigan", input_shape=None):
    """All tensors of a network, trained and moving: dict name -> array of the network's dtype.

    layout: "minigan" or "torch".  input_shape: of one sample, (H, W, C) or (F,), which "torch"
    needs.  Raises ValueError where no order of a Dense layer's features does what PyTorch's
    order of a flattened image needs, for sizes that do not fit, and for a layer of one's own.
    """
    vectors = {name: to_host(getattr(network, name)) for name in ("params", "buffers")}
    return {
        name: vectors[vector][index]
        for name, (vector, index) in _places(network, layout, input_shape).items()
    }


def fill(network, arrays, input_shape=None):
    """Write what `tensors` has returned, in either layout, into a network of the same layers.

    Raises ValueError, and writes nothing, unless names, shapes and dtypes are the network's.
    """
    places = _places(network, "minigan")
    if not places.keys() & arrays.keys():
        places = _places(network, "torch", input_shape)
    for name in [*places, *arrays]:
        if name not in arrays:
            raise ValueError(f"{name} is missing")
        if name not in places:
            raise ValueError(f"{name} is no tensor of {network!r}")
        shape, found = places[name][1].shape, arrays[name]
        if found.shape != shape or found.dtype != network.dtype:
            raise ValueError(
                f"{name} should be {network.dtype} {shape}, found {found.dtype} {found.shape}"
            )
    vectors = {name: to_host(getattr(network, name)) for name in ("params", "buffers")}
    for name, (vector, index) in places.items():
        vectors[vector][index] = arrays[name]
    network.params, network.buffers = vectors["params"], vectors["buffers"]


def leaves(network, place="", exact=False):
    """Yields (place, layer) of the layers that are no networks: "0", "1", "2.0", "2.1", ...

    exact: raise ValueError for a network of a class derived from Sequential, which may compute
    anything.
    """
    if exact and type(network) is not Sequential:
        raise ValueError(f"{network!r} is more than a chain of layers: it has no counterpart")
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Sequential):
            yield from leaves(layer, f"{place}{index}.", exact)
        else:
            yield f"{place}{index}", layer


def _places(network, layout, input_shape=None):
    """dict name -> (vector, index): element i of the tensor is network.<vector>[index[i]]."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is none of {', '.join(LAYOUTS)}")
    if layout == "torch" and input_shape is None:
        raise ValueError("layout torch needs the input_shape of a sample: give it in Python")
    places, ends = {}, {"params": 0, "buffers": 0}
    features = _features(network, input_shape) if layout == "torch" else {}
    for place, layer in leaves(network):
        for vector, specs in ("params", layer.param_specs), ("buffers", layer.buffer_specs):
            for name, (shape, _) in specs.items():
                start = ends[vector]
                ends[vector] = end = start + math.prod(shape)
                index = np.arange(start, end).reshape(shape)
                if layout == "torch":
                    index = _torch_index(layer, name, index, *features[place])
                    name = f"{place}.{TORCH_NAMES.get(name, name)}"
                else:
                    name = f"{place}.{type(layer).__name__.lower()}.{name}"
                places[name] = vector, index
    return places


# PyTorch's layout.


def _torch_index(layer, name, index, shape, read, made):
    """The index of one of our tensors as PyTorch has the tensor; the rest as in `_features`."""
    kind = type(layer)  # one derived from ours may compute anything
    if kind in (Conv2d, ConvTranspose2d):
        return index.transpose(3, 2, 0, 1) if name == "weight" else index
    if kind is Dense and len(shape) == 1:
        return index[np.ix_(read, made)].T if name == "weight" else index[made]
    if kind is Dense:  # of an image's pixels: a convolution with one tap
        return index.T[..., None, None] if name == "weight" and len(shape) == 3 else index.T
    if kind in (BatchNorm, LayerNorm):
        return index[read] if len(shape) == 1 else _channels_first(index, len(shape))
    raise ValueError(f"{layer!r} ({layer.where}) has no counterpart in PyTorch's layout")


def _features(network, input_shape):
    """What each layer reads: dict place -> (shape, read, made).

    shape: of one sample, ours.  read, made: the order of its input's and output's features in
    PyTorch: theirs are ours[read], flattened.  Between a flattened image and the next Dense layer
    it is the image's, channels first; what Dense makes is in the order that the layers behind it
    need.
    """
    layers, features = list(leaves(network, exact=True)), {}
    shape, read = tuple(input_shape), _order(input_shape)
    for number, (place, layer) in enumerate(layers):
        makes = tuple(layer.output_shape(shape))
        if isinstance(layer, Dense) and len(shape) == 1:
            made = _order(_next_shape(layers[number + 1 :], makes))
        else:
            made = read if len(makes) == 1 else _order(makes)
        if isinstance(layer, Flatten) and not np.array_equal(made, read):
            raise _unordered(f"{layer!r} ({layer.where})")
        features[place] = shape, read, made
        shape, read = makes, made
    if len(shape) == 1 and not np.array_equal(read, _order(shape)):
        raise _unordered("its end")
    return features


def _next_shape(layers, shape):
    """The shape that features (F,) are next given, or the one in which another Dense reads them."""
    for _, layer in layers:
        if len(shape) > 1 or isinstance(layer, Dense):
            break
        shape = tuple(layer.output_shape(shape))
    return shape


def _order(shape):
    """The order (F,) in which PyTorch flattens a sample of our shape."""
    return _channels_first(np.arange(math.prod(shape)).reshape(shape), len(shape)).reshape(-1)


def _channels_first(array, axes):
    """Of images' tensors, those of 3 axes a sample; all others are the same on both sides."""
    return np.moveaxis(array, -1, 0) if axes == 3 else array


def _unordered(place):
    return ValueError(
        f"layout torch: {place} would need its features in another order in PyTorch, and no "
        "Dense layer before it can give them: use layout minigan"
    )
