"""How much memory there is: limits of control groups of both versions, and of none."""

import pytest

from minigan import machine


def system(root, groups, limits):
    """A file system with these lines of /proc/self/cgroup and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in groups))
    for name, limit in limits.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit}\n")
    return root


@pytest.mark.parametrize(
    "groups, limits, found",
    [
        # version 2: outside of containers, in one that sees its own group as the root, nested
        (["0::/user.slice"], {"user.slice/memory.max": "max"}, []),
        (["0::/"], {"memory.max": 3000}, [3000]),
        (["0::/a/b"], {"a/memory.max": 500, "a/b/memory.max": 700}, [500, 700]),
        # version 1: by its name, and in a container that sees the host's name but its own tree
        (["4:memory:/job", "0::/"], {"memory/job/memory.limit_in_bytes": 900}, [900]),
        (["4:memory:/docker/0a1b"], {"memory/memory.limit_in_bytes": 2**63 - 4096}, [2**63 - 4096]),
        (["9:name=systemd:/", "4:cpu:/"], {}, []),
    ],
)
def test_limits_of_control_groups(groups, limits, found, tmp_path):
    assert sorted(machine.container_limits(system(tmp_path, groups, limits))) == found


def test_without_control_groups_there_are_no_limits(tmp_path):
    assert machine.container_limits(tmp_path) == []


@pytest.mark.parametrize("limits, usable", [([], 8000), ([2**63], 8000), ([5000, 500], 400)])
def test_the_smallest_counts(limits, usable, monkeypatch):
    monkeypatch.setattr(machine, "container_limits", lambda: list(limits))
    sizes = {"SC_PAGE_SIZE": 100, "SC_PHYS_PAGES": 100}
    monkeypatch.setattr(machine.os, "sysconf", sizes.__getitem__, raising=False)
    assert machine.usable_memory() == usable


@pytest.mark.parametrize("limits, usable", [([], None), ([1000], 800)])
def test_where_the_system_does_not_tell(limits, usable, monkeypatch):
    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(machine, "container_limits", lambda: list(limits))
    monkeypatch.setattr(machine.os, "sysconf", unknown, raising=False)
    assert machine.usable_memory() == usable
