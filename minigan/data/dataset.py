"""A set of pictures in memory: what every loader returns and every example trains on."""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import UserError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures, their labels if they have any, and where they came from.

    images: uint8 (N, H, W, C), to be read only; labels: int64 (N,) or None; name: what they are,
    such as "mnist" or "digits"; source: one line for people saying where they are from.
    """

    images: np.ndarray
    labels: np.ndarray | None
    name: str
    source: str

    def __len__(self):
        return len(self.images)

    def limit(self, n):
        """The first n pictures (the arrays are views); UserError unless 1 <= n <= len(self)."""
        if not 1 <= n <= len(self):
            raise UserError(f"limit {n} is not a number of pictures in {self.name}: "
                            f"give one from 1 to {len(self)}, or none to use them all")
        labels = None if self.labels is None else self.labels[:n]
        return replace(self, images=self.images[:n], labels=labels)
