"""The same training steps in PyTorch eager, as a user would write them, for bench.py.

channels_last: the memory layout, or PyTorch's default one.  fused: Adam as one kernel of PyTorch's,
or parameter by parameter, its default on a CPU.

D is frozen in G's step (requires_grad off), as on our side.  TensorFlow's "same" for odd
kernels at stride 2 puts its odd zero behind; here it is a symmetric padding, which PyTorch
has without a layer of its own, at the same cost.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

ADAM = {}  # more of its settings


def m1(batch, one_pass, fused):
    """M1.  one_pass: real and generated images through D as one batch, or as two."""
    torch.manual_seed(0)
    G = nn.Sequential(
        nn.Linear(100, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 512),
        nn.LeakyReLU(0.2),
        nn.Linear(512, 1024),
        nn.LeakyReLU(0.2),
        nn.Linear(1024, 784),
        nn.Tanh(),
    )
    hidden = [
        layer
        for inputs, outputs in ((784, 1024), (1024, 512), (512, 256))
        for layer in (nn.Linear(inputs, outputs), nn.LeakyReLU(0.2), nn.Dropout(0.3))
    ]
    D = nn.Sequential(*hidden, nn.Linear(256, 1))
    opt_g, opt_d = _optimizers(G, D, fused)
    bce = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(batch, 1), torch.zeros(batch, 1)
    real = torch.rand(batch, 784) * 2 - 1

    def step(_index):
        with torch.no_grad():
            fake = G(torch.randn(batch, 100))
        opt_d.zero_grad()
        if one_pass:
            real_logits, fake_logits = D(torch.cat([real, fake])).split(batch)
        else:
            real_logits, fake_logits = D(real), D(fake)
        (bce(real_logits, ones) + bce(fake_logits, zeros)).backward()
        opt_d.step()

        D.requires_grad_(False)
        opt_g.zero_grad()
        bce(D(G(torch.randn(batch, 100))), ones).backward()
        opt_g.step()
        D.requires_grad_(True)

    return step


def m2(batch, channels_last, fused):
    return _small_dcgan(batch, channels_last, fused, 1, nn.ConvTranspose2d(512, 256, 4))


def m3(batch, channels_last, fused):
    return _small_dcgan(batch, channels_last, fused, 3, nn.ConvTranspose2d(512, 256, 4, 2, 1))


def _small_dcgan(batch, channels_last, fused, colours, second):
    """M2 and M3, which differ in the layer from 4x4 pixels."""

    def activation(channels):
        return nn.BatchNorm2d(channels, 1e-3, 0.01), nn.LeakyReLU(0.01), nn.Dropout(0.2)

    def enlarge(inputs, outputs):
        return nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1)

    torch.manual_seed(0)
    G = nn.Sequential(
        nn.Linear(100, 8192),
        nn.Unflatten(1, (512, 4, 4)),
        *activation(512),
        second,
        *activation(256),
        enlarge(256, 128),
        *activation(128),
        enlarge(128, colours),
        nn.Tanh(),
    )
    D = nn.Sequential(
        nn.Conv2d(colours, 128, 3, 2, 1),
        nn.LeakyReLU(0.01),
        nn.Dropout(0.2),
        nn.Conv2d(128, 256, 3, 2, 1),
        *activation(256),
        nn.Conv2d(256, 512, 3, 2, 1),
        *activation(512),
        nn.Flatten(),
        nn.Linear(8192, 1),
    )

    def noise():
        return torch.rand(batch, 100) * 2 - 1

    labels = torch.full((batch, 1), 0.9), torch.zeros(batch, 1), torch.full((batch, 1), 0.9)
    return _two_pass_step(G, D, batch, noise, lambda: labels, channels_last, fused)


def m4(batch, channels_last, fused):
    torch.manual_seed(0)
    G = nn.Sequential(
        nn.Linear(100, 39200),
        nn.BatchNorm1d(39200, 1e-3, 0.01),
        nn.ReLU(),
        nn.Unflatten(1, (200, 14, 14)),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(200, 100, 3, padding=1),
        nn.BatchNorm2d(100, 1e-3, 0.01),
        nn.ReLU(),
        nn.Conv2d(100, 50, 3, padding=1),
        nn.BatchNorm2d(50, 1e-3, 0.01),
        nn.ReLU(),
        nn.Conv2d(50, 1, 1),
        nn.Sigmoid(),
    )
    D = nn.Sequential(
        nn.Conv2d(1, 256, 5, 2, 2),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Conv2d(256, 512, 5, 2, 2),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(25088, 256),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.25),
        nn.Linear(256, 2),
    )
    real = _prepared(G, D, batch, channels_last)
    opt_g, opt_d = _optimizers(G, D, fused)
    real_class, fake_class = torch.ones(batch, dtype=int), torch.zeros(batch, dtype=int)
    both = torch.cat([real_class, fake_class])

    def step(_index):
        with torch.no_grad():
            fake = G(torch.rand(batch, 100))
        opt_d.zero_grad()
        cross_entropy(D(torch.cat([real, fake])), both).backward()
        opt_d.step()

        D.requires_grad_(False)
        opt_g.zero_grad()
        cross_entropy(D(G(torch.rand(batch, 100))), real_class).backward()
        opt_g.step()
        D.requires_grad_(True)

    return step


def m5(batch, channels_last, fused):
    torch.manual_seed(0)

    def enlarge(inputs, outputs, *more):
        conv = nn.ConvTranspose2d(inputs, outputs, 4, *more, bias=False)
        return conv, nn.BatchNorm2d(outputs, 1e-3, 0.1), nn.LeakyReLU(0.2)

    def halve(inputs, outputs):
        conv = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
        return conv, nn.BatchNorm2d(outputs, 1e-3, 0.1), nn.LeakyReLU(0.2), nn.Dropout(0.3)

    G = nn.Sequential(
        nn.Unflatten(1, (100, 1, 1)),
        *enlarge(100, 512),
        *enlarge(512, 256, 2, 1),
        *enlarge(256, 128, 2, 1),
        *enlarge(128, 64, 2, 1),
        nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    D = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        *halve(64, 128),
        *halve(128, 256),
        *halve(256, 512),
        nn.Conv2d(512, 1, 4, bias=False),
        nn.Flatten(),
    )

    def labels():
        return 1 - 0.1 * torch.rand(batch, 1), 0.1 * torch.rand(batch, 1), torch.ones(batch, 1)

    def noise():
        return torch.randn(batch, 100)

    return _two_pass_step(G, D, batch, noise, labels, channels_last, fused)


def m6(batch, channels_last, fused):
    torch.manual_seed(0)

    def enlarge(inputs, outputs, *more):
        conv = nn.ConvTranspose2d(inputs, outputs, 4, *more, bias=False)
        return conv, nn.BatchNorm2d(outputs), nn.ReLU()

    def reduce(inputs, outputs, *more):
        conv = nn.Conv2d(inputs, outputs, *more, bias=False)
        return conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)

    G = nn.Sequential(
        nn.Unflatten(1, (100, 1, 1)),
        *enlarge(100, 1024),
        *enlarge(1024, 512, 2, 1),
        *enlarge(512, 256, 2, 1),
        *enlarge(256, 128, 2, 1),
        nn.ConvTranspose2d(128, 3, 5, 3, 1, bias=False),
        nn.Tanh(),
    )
    D = nn.Sequential(
        nn.Conv2d(3, 64, 5, 3, 1, bias=False),
        nn.LeakyReLU(0.2),
        *reduce(64, 128, 4, 2, 1),
        *reduce(128, 256, 4, 2, 1),
        *reduce(256, 512, 4, 2, 1),
        nn.Conv2d(512, 1, 4, bias=False),
        nn.Flatten(),
    )
    labels = [torch.full((batch, 1), label) for label in (0.9, 0.0, 1.0)]
    return _two_pass_step(
        G,
        D,
        batch,
        lambda: torch.randn(batch, 100),
        lambda: labels,
        channels_last,
        fused,
        same_fakes=True,
    )


def m7(batch, channels_last, fused):
    return _wasserstein_step(
        *_wasserstein_networks(128, (512, 256, 128, 64), 3, (64, 128, 256, 512)),
        batch, 128, channels_last, fused,
    )  # fmt: skip


def m8(batch, channels_last, fused):
    code = torch.eye(2)[torch.arange(batch) % 2]
    return _wasserstein_step(
        *_wasserstein_networks(32 + 2, (128, 128, 128, 64), 3 + 2, (64, 128, 128, 128)),
        batch, 32, channels_last, fused, code,
    )  # fmt: skip


def _wasserstein_networks(inputs, g_channels, planes, c_channels):
    """G and critic at 64x64.  inputs: of G.  planes: that the critic reads."""
    torch.manual_seed(0)

    def enlarge(inputs, outputs, *more):
        conv = nn.ConvTranspose2d(inputs, outputs, 4, *more, bias=False)
        return conv, nn.BatchNorm2d(outputs, 1e-3, 0.1), nn.LeakyReLU(0.2)

    def halve(inputs, outputs, slope):
        return nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(slope), nn.Dropout(0.3)

    g1, g2, g3, g4 = g_channels
    G = nn.Sequential(
        nn.Unflatten(1, (inputs, 1, 1)),
        *enlarge(inputs, g1),
        *enlarge(g1, g2, 2, 1),
        *enlarge(g2, g3, 2, 1),
        *enlarge(g3, g4, 2, 1),
        nn.ConvTranspose2d(g4, 3, 4, 2, 1),
        nn.Tanh(),
    )
    c1, c2, c3, c4 = c_channels
    C = nn.Sequential(
        nn.Conv2d(planes, c1, 4, 2, 1),
        nn.LeakyReLU(0.2),
        *halve(c1, c2, 0.3),
        *halve(c2, c3, 0.2),
        *halve(c3, c4, 0.2),
        nn.Conv2d(c4, 1, 4),
        nn.Flatten(),
    )
    return G, C


def _wasserstein_step(G, C, batch, size, channels_last, fused, code=None):
    """Three updates of the critic with the gradient penalty, then one of G.

    size: of z.  code: one-hot labels (batch, K) that both networks read, or None.
    """
    codes = 0 if code is None else code.shape[1]
    real = _prepared(G, C, batch, channels_last, size + codes)
    opt_g, opt_c = _optimizers(G, C, fused, (0.5, 0.9))
    if code is not None:
        planes = code[:, :, None, None].expand(batch, codes, *real.shape[2:])
        planes = planes.contiguous(memory_format=_layout(channels_last))
        planes_twice = torch.cat([planes, planes])

    def generate():
        z = torch.randn(batch, size)
        return G(z if code is None else torch.cat([z, code], 1))

    def judge(images):
        if code is None:
            return C(images)
        return C(torch.cat([images, planes if len(images) == batch else planes_twice], 1))

    def penalty(fake):
        epsilon = torch.rand(batch, 1, 1, 1)
        x = (fake + epsilon * (real - fake)).requires_grad_()
        (slope,) = torch.autograd.grad(judge(x).sum(), x, create_graph=True)
        norm = (slope.square().sum((1, 2, 3)) + 1e-12).sqrt()
        return 10 * (norm - 1).square().mean()

    def step(_index):
        for _ in range(3):
            with torch.no_grad():
                fake = generate()
            opt_c.zero_grad()
            scores = judge(torch.cat([real, fake]))
            real_scores, fake_scores = scores.split(batch)
            drift = 1e-3 * scores.square().mean()
            (fake_scores.mean() - real_scores.mean() + drift + penalty(fake)).backward()
            opt_c.step()

        C.requires_grad_(False)
        opt_g.zero_grad()
        (-judge(generate()).mean()).backward()
        opt_g.step()
        C.requires_grad_(True)

    return step


def _two_pass_step(G, D, batch, noise, labels, channels_last, fused, same_fakes=False):
    """The step of the DCGANs: D sees real and generated images one after the other.

    noise, labels: functions that draw z, and the labels of real, generated and G's images.
    same_fakes: G learns from the images that D was trained on.
    """
    real = _prepared(G, D, batch, channels_last)
    opt_g, opt_d = _optimizers(G, D, fused)
    bce = nn.BCEWithLogitsLoss()

    def step(_index):
        real_label, fake_label, g_label = labels()
        with torch.set_grad_enabled(same_fakes):
            fake = G(noise())
        opt_d.zero_grad()
        (bce(D(real), real_label) + bce(D(fake.detach()), fake_label)).backward()
        opt_d.step()

        D.requires_grad_(False)
        opt_g.zero_grad()
        bce(D(fake if same_fakes else G(noise())), g_label).backward()
        opt_g.step()
        D.requires_grad_(True)

    return step


def _prepared(G, D, batch, channels_last, inputs=100):
    """Set the memory layout of networks and images; random images in G's form."""
    layout = _layout(channels_last)
    for network in (G, D):
        network.to(memory_format=layout)
    with torch.no_grad():
        shape = G(torch.zeros(2, inputs)).shape[1:]
    return (torch.rand(batch, *shape) * 2 - 1).to(memory_format=layout)


def _layout(channels_last):
    return torch.channels_last if channels_last else torch.contiguous_format


def _optimizers(G, D, fused, betas=(0.9, 0.999)):
    """Adam of both networks."""
    how = dict(betas=betas, fused=fused or None, **ADAM)  # None: as PyTorch chooses
    return (torch.optim.Adam(network.parameters(), 2e-4, **how) for network in (G, D))
