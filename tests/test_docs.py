"""The documents show the code as it is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def python_blocks(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize(
    "source, begins", [("examples/from_nothing.py", "def train_step"),
                       ("examples/mnist_gan.py", "    # D: real images up")],
)
def test_the_readme_quotes_the_source(source, begins):
    block = next(block for block in python_blocks(ROOT / "README.md") if block.startswith(begins))
    assert block in (ROOT / source).read_text(encoding="utf-8")


def test_the_readme_example_runs(tmp_path, monkeypatch, capsys):
    block = next(b for b in python_blocks(ROOT / "README.md") if b.startswith("import minigan"))
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert "100,609" in capsys.readouterr().out


@pytest.mark.parametrize("document", ["convolution.md"])
def test_the_code_blocks_of_a_page_run(document):
    namespace = {}
    for block in python_blocks(ROOT / "docs" / document):
        exec(compile(block, document, "exec"), namespace)


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_links_lead_somewhere(document):
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target
