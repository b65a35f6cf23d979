"""Numbers that are others at every step, where a step may be recorded as a CUDA graph.

A graph is fixed to the last number, so these must reach it through memory: see training/graph.py,
which sets `recording` for as long as it records.  At all other times they are what they are.
"""

recording = None


def of_step(make, step):
    """make(step): a number or an array on the host; of a step that is recorded an array on the
    device, which holds at each launch what `make` gives for the step then."""
    return make(step) if recording is None else recording.of_step(make, step)


def of_update(make, params, t, lr):
    """make(t, lr), numbers of an optimizer's t-th update of `params`; likewise."""
    return make(t, lr) if recording is None else recording.of_update(make, params, t, lr)
