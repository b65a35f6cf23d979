"""A network in an ONNX file: its evaluation mode, in standard operators of the default domain.

The file's input and output are laid out as ours, (N, F) or (N, H, W, C), with any N.  ONNX's images
are channels first.  So a value in the graph has an `order`, which of our axes lies where, and an
operator that needs another one has a Transpose before it.  A convolutional network has one in
front of its first convolution and one behind its last; a LayerNorm between, or a BatchNorm of
another axis than the channels', has its own.
"""

import numpy as np

from ..atomic import replacing
from ..errors import UserError
from ..kernels import geometry, transposed_geometry
from ..layers import (
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    LeakyReLU,
    RandomShift,
    ReLU,
    Reshape,
    Sigmoid,
    SpectralNorm,
    Tanh,
    UpSample2d,
)
from ..version import __version__
from .named import leaves

OPSET, IR = 17, 8  # of 2022, the first with LayerNormalization
LARGEST = 2**31 - 2**20  # bytes of parameters: an ONNX file has less than 2 GiB
CHANNELS_FIRST = (0, 3, 1, 2)


def write_onnx(path, network, input_shape, metadata=None):
    """Write a network's evaluation mode to `path`, atomically; returns the shape of an output.

    input_shape: of one sample.  metadata: dict of texts, stored beside minigan's version.  The
    file computes in float32, the network's dtype or not: ONNX Runtime has no float64 convolution.
    A Dropout is left out, but for one that drops always, and so is a RandomShift.

    Raises UserError without the package onnx, ValueError for an input that does not fit the
    network, a layer of one's own and a network that is too large, OSError if the file cannot be
    written.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError(
            f"ONNX files need the package onnx: pip install 'minigan[onnx]' ({error})"
        ) from error
    if 4 * (network.param_count + network.buffer_count) > LARGEST:
        raise ValueError(f"{network!r} is too large for an ONNX file, which holds 2 GB at most")
    network = network.clone(dtype="float32").to("cpu")
    sample = np.zeros((1, *input_shape), np.float32)
    output_shape = network.forward(sample, train=False)[0].shape[1:]  # or says what does not fit
    with replacing(path) as file:
        file.write(_model(onnx, network, input_shape, output_shape, metadata).SerializeToString())
    return output_shape


def _model(onnx, network, input_shape, output_shape, metadata):
    graph = _Graph(onnx, input_shape)
    for place, layer in leaves(network, exact=True):
        graph.place = place
        _add(layer, graph)
        graph.shape = tuple(layer.output_shape(graph.shape))
    graph.place = "end"
    graph.arrange(range(len(output_shape) + 1))
    if not graph.nodes:
        graph.add("Identity")
    graph.nodes[-1].output[0] = "output"
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *shape])
        for name, shape in (("input", input_shape), ("output", output_shape))
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, network.name, ends[:1], ends[1:], graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="minigan",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, {"minigan_version": __version__} | (metadata or {}))
    return model


class _Graph:
    """Operators one behind the other, each of which reads the value of the one before.

    place: of the layer that adds them.  shape: of a sample at its input, in our layout.
    order: which of our axes (N, ...) the axes of the value are.
    """

    def __init__(self, onnx, input_shape):
        self.onnx, self.shape = onnx, tuple(input_shape)
        self.nodes, self.constants = [], []
        self.place, self.value, self.order = "", "input", tuple(range(len(input_shape) + 1))

    def add(self, operator, constants=None, **attributes):
        """An operator that reads the value, then constants: dict name -> array, or None."""
        names = [self.value]
        for name, array in (constants or {}).items():
            names.append("" if array is None else f"{self.place}.{name}")
            if array is not None:
                tensor = self.onnx.numpy_helper.from_array(np.asarray(array, order="C"), names[-1])
                self.constants.append(tensor)
        self.value = f"{self.place}.{operator}"
        self.nodes.append(
            self.onnx.helper.make_node(operator, names, [self.value], self.value, **attributes)
        )

    def arrange(self, order):
        """Bring the axes into this order."""
        order = tuple(order)
        if order != self.order:
            self.add("Transpose", perm=[self.order.index(axis) for axis in order])
            self.order = order


# What a layer adds to the graph.


def _add(layer, graph):
    if type(layer) not in OPERATORS:
        raise ValueError(f"{layer!r} ({layer.where}) is no layer that ONNX files are made of")
    OPERATORS[type(layer)](layer, graph)


def _dense(layer, graph):
    graph.arrange(range(len(graph.order)))
    graph.add("MatMul", {"weight": layer.weight})
    if layer.use_bias:
        graph.add("Add", {"bias": layer.bias})


def _activation(layer, graph):
    graph.add(type(layer).__name__.capitalize())  # Relu, Sigmoid, Tanh


def _leaky_relu(layer, graph):
    graph.add("LeakyRelu", alpha=layer.slope)


def _dropout(layer, graph):
    if layer.always and layer.rate:
        ratio, training = np.float32(1 - layer.keep), np.array(True)
        graph.add("Dropout", {"ratio": ratio, "training_mode": training})


def _nothing(layer, graph):
    """Of a layer for training alone."""


def _batch_norm(layer, graph):
    batch, *axes = range(len(graph.order))
    features = axes.pop(layer.axis % len(graph.order) - 1)
    graph.arrange([batch, features, *axes])  # ONNX's features are on the second axis
    graph.add("BatchNormalization", _tensors(layer), epsilon=layer.eps)


def _layer_norm(layer, graph):
    graph.arrange(range(len(graph.order)))
    graph.add("LayerNormalization", _tensors(layer), axis=-len(layer.shape), epsilon=layer.eps)


def _tensors(layer):
    return {name: getattr(layer, name) for name in (*layer.param_specs, *layer.buffer_specs)}


def _conv(layer, graph):
    g = geometry(graph.shape[:2], layer.kernel, layer.stride, layer.padding)
    _convolve(graph, "Conv", layer, g)


def _conv_transpose(layer, graph):
    g = transposed_geometry(graph.shape[:2], layer.kernel, layer.stride, layer.padding)
    beyond = [  # the last window, where the kernel is shorter than the stride
        size - ((n - 1) * s + k - sum(zeros))
        for size, n, s, k, zeros in zip(g.size, g.output, g.stride, g.kernel, g.padding)
    ]
    _convolve(graph, "ConvTranspose", layer, g, output_padding=beyond)


def _convolve(graph, operator, layer, g, **attributes):
    """weight (kh, kw, a, b) becomes (b, a, kh, kw): a transposed one's are those of its conv."""
    tensors = {"weight": layer.weight.transpose(3, 2, 0, 1)}
    if layer.use_bias:
        tensors["bias"] = layer.bias
    (top, bottom), (left, right) = g.padding
    graph.arrange(CHANNELS_FIRST)
    graph.add(operator, tensors, strides=g.stride, pads=(top, left, bottom, right), **attributes)


def _upsample(layer, graph):
    graph.arrange(CHANNELS_FIRST)
    scales = np.array([1, 1, layer.factor, layer.factor], np.float32)
    graph.add(
        "Resize", {"roi": None, "scales": scales},
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip


def _reshape(layer, graph):
    shape = layer.output_shape(graph.shape)
    graph.arrange(range(len(graph.order)))
    graph.add("Reshape", {"shape": np.array([0, *shape])})  # 0: as many as there are
    graph.order = tuple(range(len(shape) + 1))


def _spectral_norm(layer, graph):
    _add(layer.normalized(), graph)


OPERATORS = {  # of layers of just these classes: one derived from them may compute anything
    Dense: _dense, Conv2d: _conv, ConvTranspose2d: _conv_transpose, UpSample2d: _upsample,
    BatchNorm: _batch_norm, LayerNorm: _layer_norm, ReLU: _activation, Sigmoid: _activation,
    Tanh: _activation, LeakyReLU: _leaky_relu, Dropout: _dropout, RandomShift: _nothing,
    Flatten: _reshape, Reshape: _reshape, SpectralNorm: _spectral_norm,
}  # fmt: skip
