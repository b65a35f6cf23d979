"""Both sides of bench_gpu.py: training steps of M1, M5 and M7 on a GPU, and its ceilings.

Each function builds networks and optimizers on the device and returns step(index).  Ours are
those of the examples; PyTorch's are written as its users would, D or the critic frozen in G's
step.  Each side also has events, and what it takes to tell a device's time.
"""

import os
from functools import partial

import numpy as np

CRITIC_STEPS = 3


class Minigan:
    def __init__(self, tf32):
        os.environ["CUPY_TF32"] = str(int(tf32))  # read at the first product
        import cupy
        from steps_minigan import OPTIONS, example  # here: PyTorch's process has no minigan

        import minigan
        from minigan.kernels.gpu import cublas

        self.cupy, self.mg, self.products = cupy, minigan, cublas
        self.options, self.example = OPTIONS, example
        self.index = 0  # of the step

    def launched(self, step):
        """A training step's function, as it is."""
        return step

    def event(self):
        event = self.cupy.cuda.Event()
        event.record()
        return event

    def milliseconds(self, start, stop):
        stop.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, stop)

    def random(self, *shape):
        """Numbers in [-1/2, 1/2): a product of ones draws less power, and is faster."""
        count = int(np.prod(shape))
        bits = self.cupy.arange(count, dtype="uint32") * np.uint32(2654435761)
        return (bits.astype("float32") / 2.0**32 - 0.5).reshape(shape)

    def matmul(self, a, b, out):
        self.products.matmul(a, b, out)

    def copy(self, target, source):
        self.cupy.copyto(target, source)

    def _model(self, script, batch, *names):
        """(example, its two networks, real images, draw(where, index) of z) on the device."""
        module = self.example(script)
        networks = [getattr(module, name)(self.options).to("gpu") for name in names]
        shape = networks[0].output_shape((module.LATENT.size,))
        pixels = np.random.default_rng(0).uniform(-1, 1, (batch, *shape)).astype("float32")
        real = self.cupy.asarray(pixels)

        def draw(where, index):
            self.index = index
            for network in networks:
                network.begin_step(index)
            return module.LATENT.draw(batch, seed=0, where=where, step=index, xp=self.cupy)

        return module, *networks, real, draw

    def m1(self, batch):
        module, G, D, real, draw = self._model("mnist_gan", batch, "generator", "discriminator")
        opt_g, opt_d = self.mg.Adam(G, 2e-4), self.mg.Adam(D, 2e-4)
        train_step = self.launched(module.train_step)

        def step(index):
            train_step(G, D, opt_g, opt_d, real, draw("D", index), draw("G", index))

        return step

    def m5(self, batch):
        module, G, D, real, draw = self._model("dcgan", batch, "generator", "discriminator")
        opt_g, opt_d = self.mg.Adam(G, 2e-4), self.mg.Adam(D, 2e-4)
        train_step = self.launched(module.train_step)

        def step(index):
            def address(where):
                return dict(seed=0, where=where, step=index)

            labels = module.noisy_labels(self.options, address)
            train_step(G, D, opt_g, opt_d, real, draw("D", index), draw("G", index), *labels)

        return step

    def m7(self, batch):
        module, G, C, real, draw = self._model("wgan_gp", batch, "generator", "critic")
        opt_g, opt_c = self.mg.Adam(G, 2e-4), self.mg.Adam(C, 2e-4)
        critic_step, generator_step = map(
            self.launched, (module.critic_step, module.generator_step)
        )

        def step(index):
            for i in range(CRITIC_STEPS):
                epsilon = dict(seed=0, where=f"epsilon {i}", step=index)
                critic_step(G, C, opt_c, real, draw(f"C {i}", index), self.options, epsilon)
            generator_step(G, C, opt_g, draw("G", index))

        return step


class MiniganGraph(Minigan):
    """With --cuda-graph: recorded while it warms up."""

    def launched(self, step):
        from minigan.training.graph import Recorded

        return Recorded(step, lambda: self.index, print)


class PyTorch:
    """fused: Adam as one kernel, or as a few for all parameters, PyTorch's default on a GPU."""

    def __init__(self, tf32, fused=False):
        import torch

        self.torch, self.fused, self.adam = torch, fused, {}
        torch.set_default_device("cuda")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True

    def launched(self, step):
        """A training step, as it is."""
        return step

    def event(self):
        event = self.torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, start, stop):
        stop.synchronize()
        return start.elapsed_time(stop)

    def random(self, *shape):
        return self.torch.rand(shape) - 0.5

    def matmul(self, a, b, out):
        self.torch.matmul(a, b, out=out)

    def copy(self, target, source):
        target.copy_(source)

    def _model(self, name, batch):
        import steps_torch

        steps_torch.ADAM = self.adam
        return self.launched(getattr(steps_torch, name)(batch, True, self.fused))

    def m1(self, batch):
        return self._model("m1", batch)

    def m5(self, batch):
        return self._model("m5", batch)

    def m7(self, batch):
        return self._model("m7", batch)


class PyTorchGraph(PyTorch):
    """Its step as one CUDA graph, where it can be captured; with an Adam that can."""

    def __init__(self, tf32):
        super().__init__(tf32, fused=True)
        self.adam = dict(capturable=True)

    def launched(self, step):
        cuda = self.torch.cuda
        aside, graph = cuda.Stream(), cuda.CUDAGraph()
        aside.wait_stream(cuda.current_stream())
        with cuda.stream(aside):  # as PyTorch's manual has it: a few steps first, elsewhere
            for index in range(5):
                step(index)
        cuda.current_stream().wait_stream(aside)
        try:
            with cuda.graph(graph):
                step(0)
        except RuntimeError as error:
            print(f"PyTorch: no CUDA graph ({str(error).splitlines()[0]})", flush=True)
            return step
        return lambda index: graph.replay()


SIDES = {
    "minigan": Minigan,
    "its graphs": MiniganGraph,
    "PyTorch": PyTorch,
    "PyTorch, fused": partial(PyTorch, fused=True),  # its Adam
    "PyTorch, graph": PyTorchGraph,
}
