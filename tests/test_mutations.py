"""The mutation suite: do our checks fail when the engine is wrong?

    pytest tests/test_mutations.py -v          each mutant and what killed it

For each fault of `mutants.py` the project is copied, the fault put in, and the named
checks are run against the copy in a process of their own.  They must fail, and in the
way that a check fails: a mutant that cannot be imported proves nothing.  The same checks
must pass on a copy without fault.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mutants import MUTANTS, PLAIN, mutant

pytestmark = pytest.mark.host

ROOT = Path(__file__).parents[1]
WORKERS = 2
TIMEOUT = 120  # seconds for the checks of one mutant: a fault may make an endless loop
LONG = 600  # for those of all

# pytest, and the type of each exception that ended a test.
RUNNER = """
import sys
import minigan, pytest

class Report:
    def pytest_exception_interact(self, call):
        print("\\nraised:", call.excinfo.typename)

print("engine:", minigan.__file__)
sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *sys.argv[1:]], [Report()]))
"""


def copy_project(source, target):
    """Copy what the checks need, the compiled files with it: they save most of a start."""
    ignored = shutil.ignore_patterns("golden")
    for name in ("minigan", "examples", "tests"):
        shutil.copytree(source / name, target / name, ignore=ignored)
    shutil.copy2(source / "pyproject.toml", target)
    return target


def run_checks(project, checks, timeout=TIMEOUT):
    """(exit code of pytest, its output) of the checks, run against a copy of the project."""
    environment = os.environ | {
        "PYTHONPATH": str(project),
        "OPENBLAS_NUM_THREADS": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # others' take a fifth of the time
    }
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *(f"tests/{check}" for check in checks)],
        cwd=project, env=environment, timeout=timeout, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert f"engine: {project / 'minigan'}" in done.stdout, done.stdout  # this copy, imported
    return done.returncode, done.stdout


def apply(mutant, project):
    """Edit the copy.  A text that is not there exactly once is an error of the table."""
    for file, old, new in mutant.edits:
        path = project / file
        text = path.read_text(encoding="utf-8")
        count = text.count(old)
        assert count == 1, f"{mutant.name}: {old!r} occurs {count} times in {file}: mend the mutant"
        path.write_text(text.replace(old, new), encoding="utf-8")


def try_mutant(mutant, template, folder):
    """None if the checks kill the mutant, else why not."""
    project = copy_project(template, folder)
    try:
        apply(mutant, project)
        code, output = run_checks(project, mutant.checks)
    finally:
        shutil.rmtree(project)
    if code == 0:
        return f"SURVIVED: {mutant.name}: {', '.join(mutant.checks)} passed"
    raised = [line.split()[1] for line in output.splitlines() if line.startswith("raised:")]
    if code != 1 or raised != [mutant.fails_with]:
        return (
            f"NOT KILLED BY A CHECK: {mutant.name}: expected {mutant.fails_with}, "
            f"got {raised or 'no test'}, exit code {code}\n{output}"
        )
    return None


@contextlib.contextmanager
def judging(template, session, test, folder):
    """A function mutant -> `try_mutant` of it, for those that a test is to be run with.

    They are tried two at a time, unless pytest itself has several tests under way.
    """
    wanted = [item.callspec.params["mutant"] for item in session.items if item.function is test]
    places = {mutant: folder / str(number) for number, mutant in enumerate(wanted)}
    if "PYTEST_XDIST_WORKER" in os.environ:
        yield lambda mutant: try_mutant(mutant, template, places[mutant])
        return
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = {
            mutant: pool.submit(try_mutant, mutant, template, place)
            for mutant, place in places.items()
        }
        yield lambda mutant: futures[mutant].result()
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A copy of the project without fault."""
    return copy_project(ROOT, tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def verdict(template, request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutants")
    with judging(template, request.session, test_mutant_is_killed, folder) as verdict:
        yield verdict


def test_names_differ():
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)


def test_checks_pass_without_a_fault(template):
    checks = dict.fromkeys(check for mutant in MUTANTS for check in mutant.checks)
    code, output = run_checks(template, checks, LONG)
    assert code == 0, output


def test_the_suite_can_fail(template, tmp_path):
    """A harmless edit survives, broken code is no kill, and a text that is gone is noticed."""

    def verdict(new, old="(x - t) ** 2", **how):
        edit = mutant("", PLAIN, old, new, "test_losses.py::test_scores", **how)
        return try_mutant(edit, template, tmp_path / "copy")

    assert verdict("(x - t) * (x - t)").startswith("SURVIVED")
    assert verdict("(x - target) ** 2").startswith("NOT KILLED BY A CHECK")
    assert verdict("2 * (x - t) ** 2") is None
    with pytest.raises(AssertionError, match="SyntaxError"):
        verdict("(x - t) * * 2")
    with pytest.raises(AssertionError, match="occurs 0 times"):
        verdict("", old="no such text")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_killed(mutant, verdict):
    problem = verdict(mutant)
    assert problem is None, problem
