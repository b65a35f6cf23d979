"""How much memory there is: the machine's, or less where a container has a limit of its own."""

import os
from pathlib import Path

CONTROL_GROUPS = (  # where Linux shows them and the limit of each
    ("sys/fs/cgroup", "memory.max"),  # version 2: one tree for all
    ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),  # version 1: one for memory
)


def usable_memory():
    """Four fifths of the bytes of memory, or None where the system does not tell."""
    limits = container_limits()
    try:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # AttributeError: Windows
        pass
    return min(limits) * 4 // 5 if limits else None


def container_limits(root="/"):
    """The bytes that each control group of this process allows it: a list, empty without any.

    root: of the file system.  A group's limit holds for the groups below it as well.
    """
    root, limits = Path(root), []
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return limits
    for group in {line.split(":", 2)[2].strip("/") for line in lines}:
        for tree, name in CONTROL_GROUPS:
            # In a container the tree may begin at its own group, whatever the group's name is.
            for folder in (Path(group), *Path(group).parents):
                try:
                    limits.append(int((root / tree / folder / name).read_text()))
                except (OSError, ValueError):  # ValueError: "max"
                    pass
    return limits
