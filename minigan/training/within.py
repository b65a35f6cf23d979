"""Whether a run is between two steps or within one, and the way back out of a step half done."""


class Within:
    """A training step that is under way.

    networks, optimizers: of the run, as they were between two steps.
    """

    def __init__(self, networks, optimizers):
        self._optimizers = list(optimizers.values())
        self._counts = [optimizer.t for optimizer in self._optimizers]
        self._buffers = [(net, net.buffers.copy()) for net in networks.values()]

    def has_stepped(self):
        """Whether an optimizer has: there is no way back then."""
        return self._counts != [optimizer.t for optimizer in self._optimizers]

    def undo(self):
        """Undo passes that no optimizer has followed: all they change is moving averages."""
        for network, buffers in self._buffers:
            network.buffers[...] = buffers
