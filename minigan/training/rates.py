"""The learning rates of a run: those of its optimizers, times the factor of a schedule.

A schedule is a function of the share of the run's steps that are done: 0 in the first step, a step
short of 1 in the last one.  So it ends where the run does, and a run that is made longer goes on
along a flatter schedule.  The cosine is that of Loshchilov and Hutter 2017, "SGDR: stochastic
gradient descent with warm restarts" (arXiv:1608.03983), without the restarts.
"""

import math

SCHEDULES = {
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
}
CONSTANT = "constant"  # no schedule: nobody but the optimizers' owner sets their rates
MOST = 1000  # periods that are kept, the last ones


class Rates:
    """The learning rates along a run.

    optimizers: dict name -> Optimizer, with the rates that they have without a schedule.
    schedule: "constant", "linear" or "cosine".  total_steps: of the run.

    periods: what holds from which step on, JSON-ready, the present last:
    [{"step": 0, "rates": {"generator": 0.001}, "schedule": {"name": "linear", "steps": 500}}];
    its schedule is None where it is constant.  change: a line about what a resume has changed,
    None where that is nothing.
    """

    def __init__(self, optimizers, schedule, total_steps):
        self.optimizers = optimizers
        self._now = {
            "rates": {name: float(optimizer.lr) for name, optimizer in optimizers.items()},
            "schedule": None,
        }
        if schedule != CONSTANT:
            self._now["schedule"] = {"name": schedule, "steps": total_steps}
        self.periods, self.change = [{"step": 0} | self._now], None

    def begin_step(self, step):
        """Set the rates for the step that follows on `step` others."""
        if self._now["schedule"] is not None:
            factor = _factor(self._now["schedule"], step)
            for name, rate in self._now["rates"].items():
                self.optimizers[name].lr = rate * factor

    def resume(self, step, periods):
        """Go on after `step` steps; periods: those of the checkpoint, none in an old one."""
        now = {"step": step} | self._now
        past = [period for period in periods if period["step"] < step]  # others were not lived
        if not past or past[-1] | {"step": step} != now:
            past.append(now)
        self.periods, self.change = past[-MOST:], None
        if periods and (before := periods[-1] | {"step": step}) != now:
            self.change = f"from step {step + 1:,} on: {describe(now)}; before: {describe(before)}"


def describe(period):
    """A period in words, without its beginning."""
    rates = ", ".join(f"{name} {rate:g}" for name, rate in period["rates"].items())
    text, schedule = f"learning rates {rates}", period["schedule"]
    if schedule is not None:
        share = _factor(schedule, period["step"])
        text += f", {schedule['name']} from {share:.0%} to 0 at step {schedule['steps']:,}"
    return text


def _factor(schedule, step):
    return SCHEDULES[schedule["name"]](step / schedule["steps"])
