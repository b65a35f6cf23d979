"""The same training steps in PyTorch eager, as a user would write them, for bench.py.

D is frozen in G's step (requires_grad off), as on our side.
"""

import torch
from torch import nn


def m1(batch, one_pass):
    """M1.  one_pass: real and generated images through D as one batch, or as two."""
    torch.manual_seed(0)
    G = nn.Sequential(
        nn.Linear(100, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(),
        nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 784), nn.Tanh(),
    )
    hidden = [
        layer
        for inputs, outputs in ((784, 1024), (1024, 512), (512, 256))
        for layer in (nn.Linear(inputs, outputs), nn.LeakyReLU(0.2), nn.Dropout(0.3))
    ]
    D = nn.Sequential(*hidden, nn.Linear(256, 1))
    opt_g, opt_d = torch.optim.Adam(G.parameters(), 2e-4), torch.optim.Adam(D.parameters(), 2e-4)
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
