"""The moving average of a network along its training.

A generator in training circles around where it would be in balance with D, and every step
leaves some noise in its weights.  Their average along the way lies nearer to the middle, and
draws better (Yazici et al. 2019, "The unusual effectiveness of averaging in GAN training",
arXiv:1806.04498).  It has no part in the training itself.
"""

from .errors import check_setting


class MovingAverage:
    """A network whose parameters and moving statistics are averages of another's.

        average = d average + (1 - d) current,    d = min(decay, (1 + t) / (10 + t))

    at step t, so that about the last 1 / (1 - decay) steps count, and in the beginning fewer: the
    initial weights are soon forgotten, and d does not reach 0.995 before step 1,790.  From step
    10 on only every tenth step is taken in, and counts for ten: an update is a pass over memory.

    source: a built Sequential.  decay: 0 <= decay < 1.  network: the average, a Sequential like
    the source; at first a copy of it.  Raises ValueError for a decay out of range.
    """

    EVERY = 10  # steps from one update to the next, after so many first ones with one each

    def __init__(self, source, decay):
        check_setting(self, "decay", decay, 0, 1)
        self.source, self.decay, self.network = source, decay, source.clone()

    def update(self, t):
        """Take in the source as it is after step t, from 1; later on EVERY steps at a time."""
        if t > self.EVERY and t % self.EVERY:
            return
        steps = 1 if t <= self.EVERY else self.EVERY
        keep = min(self.decay, (1 + t) / (10 + t)) ** steps
        for average, current in (
            (self.network.params, self.source.params),
            (self.network.buffers, self.source.buffers),
        ):
            self.source.kernels[type(average)].average(average, current, keep)
