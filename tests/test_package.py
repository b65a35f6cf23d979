"""What importing minigan brings in, and what it must not."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import minigan as mg

ROOT = Path(mg.__file__).parent


def modules_after(statement):
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_the_engine_imports_numpy_alone():
    beyond_numpy = modules_after("import minigan") - modules_after("import numpy, numpy.random")
    foreign = {name for name in beyond_numpy if not name.startswith("minigan")}
    assert {name for name in foreign if name.partition(".")[0] in ("cupy", "PIL", "torch")} == set()
    assert not any(name.startswith(("minigan.data", "minigan.training")) for name in beyond_numpy)


def test_cupy_is_not_touched_even_when_everything_is_imported():
    names = modules_after("import minigan.data, minigan.training, minigan.__main__")
    assert not any(name.partition(".")[0] in ("cupy", "torch", "PIL") for name in names)


def test_the_engine_opens_no_file_and_prints_nothing():
    engine = [*ROOT.glob("*.py"), *ROOT.glob("layers/*.py"), *ROOT.glob("kernels/*.py")]
    for path in engine:
        if path.name not in ("__main__.py", "atomic.py", "regular.py", "interrupted.py"):
            text = path.read_text(encoding="utf-8")
            assert "open(" not in text and "print(" not in text, path


def imported(path):
    """The files of minigan that a file of it imports, at its top or within a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1]
            place = folder.joinpath(*(node.module or "").split("."))
            for alias in node.names:
                candidates = (
                    place / f"{alias.name}.py",
                    place / alias.name / "__init__.py",
                    place.with_suffix(".py"),
                    place / "__init__.py",
                )
                yield next(file for file in candidates if file.exists())


def test_no_file_imports_what_imports_it_and_the_engine_knows_nothing_of_runs_and_data():
    graph = {path: set(imported(path)) for path in ROOT.rglob("*.py")}
    package, command = ROOT / "__init__.py", ROOT / "__main__.py"
    graph[package].clear()  # it hands out names of those below on first use
    graphlib.TopologicalSorter(graph).prepare()  # CycleError where there is a circle
    engine = set(ROOT.glob("*.py")) - {package, command}
    for path in engine | {*ROOT.glob("layers/*.py"), *ROOT.glob("kernels/**/*.py")}:
        folders = {file.relative_to(ROOT).parts[0] for file in graph[path]}
        assert not folders & {"training", "data", "score"}, path


def test_it_is_versioned():
    assert mg.__version__.count(".") == 2


def test_every_public_name_is_there():
    for name in mg.__all__:
        assert getattr(mg, name) is not None


def test_no_fixture_has_the_name_of_a_plugin_s():
    """pytest-benchmark ends the whole session where it finds another's `benchmark`."""
    taken = {"benchmark", "benchmark_weave", "cov", "no_cover", "event_loop", "anyio_backend"}
    for path in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name in taken:
                assert not any("fixture" in ast.unparse(d) for d in node.decorator_list), path
