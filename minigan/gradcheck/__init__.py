"""Is it true what the layers, losses and penalties claim?

numeric     does `backward` return the derivative of `forward`, `double_backward` that of
            `backward`?  Where not: the worst element, and what is wrong with it
contract    do the passes keep their other promises: shapes, dtypes, what they leave alone?
check       both together, of a layer, a network, a loss, a training step
cases       all of minigan, and layers of your own
table       the report

python -m minigan gradcheck                    everything
python -m minigan gradcheck Conv2d hinge       what is called so
python -m minigan gradcheck 'mine:Scale(10)'   a layer of your own, class Scale in mine.py
"""

from .cases import all_cases, check_all, select
from .check import Check, check_layer, check_loss, check_step
from .numeric import numeric_errors
from .table import Table

__all__ = [
    "Check", "Table", "all_cases", "check_all", "check_layer", "check_loss", "check_step",
    "numeric_errors", "select",
]  # fmt: skip
