"""Curves over the steps of a run of any length, in a memory that stays small."""

import numpy as np

MOST = 512  # points of a curve; twice as many are merged into so many


class Curves:
    """Values that come step by step, kept as means over stretches of 1, 2, 4, ... steps.

    count: values a step.
    """

    def __init__(self, count):
        self.count, self.stretch = count, 1  # steps a point
        self._points, self._latest = [], []

    def add(self, values):
        """The values of the next step; a NaN is one that is not there."""
        self._latest.append(values)
        if len(self._latest) < self.stretch:
            return
        self._points.append(np.mean(self._latest, axis=0))
        self._latest = []
        if len(self._points) == 2 * MOST:
            self._points = list(np.reshape(self._points, (MOST, 2, self.count)).mean(axis=1))
            self.stretch *= 2

    def points(self):
        """(n, count): point i is of the steps from i stretch + 1 to (i + 1) stretch."""
        return np.reshape(self._points, (-1, self.count))
