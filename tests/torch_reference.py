"""A minigan network read out to PyTorch: same tensors, PyTorch's operations and autograd.

Only the values of parameters and dropout masks are ours; every forward is written with
PyTorch's own functions and every gradient is autograd's.
"""

import torch

import minigan as mg


class TorchNetwork:
    """A PyTorch copy of a Sequential.

    params: list of leaf tensors in the order of `network.named_tensors()`.
    """

    def __init__(self, network):
        self.network = network
        self.params = [
            torch.from_numpy(param.copy()).requires_grad_() for _, param, _ in network.named_tensors()
        ]
        self._calls = {}

    def begin_step(self, step):
        self._step, self._calls = step, {}

    def __call__(self, x):
        params = iter(self.params)
        for layer in self.network.layers:
            x = self._layer(layer, x, params)
        return x

    def _layer(self, layer, x, params):
        functional = torch.nn.functional
        if isinstance(layer, mg.Dense):
            x = x @ next(params)
            return x + next(params) if layer.use_bias else x
        if isinstance(layer, mg.LeakyReLU):
            return functional.leaky_relu(x, layer.slope)
        if isinstance(layer, mg.ReLU):
            return functional.relu(x)
        if isinstance(layer, mg.Tanh):
            return torch.tanh(x)
        if isinstance(layer, mg.Flatten):
            return x.reshape(len(x), *layer.output_shape(x.shape[1:]))
        if isinstance(layer, mg.Dropout):
            return x * self._mask(layer, x) / mg.random.kept_share(1 - layer.rate)
        raise NotImplementedError(f"no PyTorch counterpart of {layer!r}")

    def _mask(self, layer, x):
        call = self._calls[layer.where] = self._calls.get(layer.where, -1) + 1
        mask = mg.random.keep_mask(
            tuple(x.shape), 1 - layer.rate, seed=layer.seed, where=layer.where,
            step=self._step, call=call,
        )
        return torch.from_numpy(mask)
