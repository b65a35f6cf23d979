"""The documents show the code as it is."""

import importlib
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import parity
import pytest
from helpers import run
from PIL import Image

from minigan.__main__ import main

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "figures"))
figure = importlib.import_module("figure")  # what the book's pictures are drawn with
pytestmark = pytest.mark.host  # the pages compute on the CPU

CHAPTERS = [
    "one_step", "three_parameters", "through_d", "losses", "batchnorm", "convolution",
    "gradient_penalty", "circles", "optimizers", "reading_a_run", "checking", "add_a_layer",
]  # fmt: skip
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
FIGURES = sorted(path.stem for path in DOCS.glob("figures/*.py") if path.stem != "figure")
MOST_LINES = 15  # of a chapter's block
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?")


def read(path):
    return path.read_text(encoding="utf-8")


def python_blocks(name):
    return [block for language, block in figure.blocks(name) if language == "python"]


def same_text(printed, expected):
    """Equal, but for spaces and for numbers that another machine rounds in another way."""
    assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", expected).split(), printed
    ours, theirs = (np.array(NUMBER.findall(text), float) for text in (printed, expected))
    np.testing.assert_allclose(ours, theirs, rtol=0.01, atol=2e-3, err_msg=printed)


@pytest.mark.parametrize(
    "source, begins",
    [
        ("examples/from_nothing.py", "def train_step"),
        ("examples/mnist_gan.py", "    # D: real images up"),
    ],
)
def test_the_readme_quotes_the_source(source, begins):
    block = next(block for block in python_blocks("../README") if block.startswith(begins))
    assert block in read(ROOT / source)


def test_the_readme_example_runs(tmp_path, monkeypatch, capsys):
    block = next(b for b in python_blocks("../README") if b.startswith("import minigan"))
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert "100,609" in capsys.readouterr().out


@pytest.mark.parametrize("page", [*CHAPTERS, "data", "fast", "own_pictures", "plane"])
def test_the_code_blocks_of_a_page_run(page, monkeypatch):
    """A text block behind a python block is what that prints."""
    monkeypatch.chdir(ROOT)
    _, prints = figure.run_page(page)
    fenced = [*figure.blocks(page), ("", "")]
    expected = [
        following[1] if following[0] == "text" else ""
        for block, following in pairwise(fenced)
        if block[0] == "python"
    ]
    for printed, text in zip(prints, expected, strict=True):
        same_text(printed, text)


def test_the_code_blocks_of_elsewhere_run(tmp_path, monkeypatch, capsys):
    """Its commands too, on a checkpoint of the example that it speaks of."""
    for package in ("onnx", "onnxruntime", "torch"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    example = ["--data", "digits", "--limit", 8, "--batch-size", 4, "--steps", 1]
    assert run(parity.example("mnist_cgan").main, *example) == 0
    names, fenced = {}, [*figure.blocks("elsewhere"), ("", "")]
    for (language, block), (following, text) in pairwise(fenced):
        capsys.readouterr()
        if language == "bash":
            assert all(run(main, *line.split()[1:]) == 0 for line in block.splitlines())
        elif language == "python":
            exec(compile(block, "elsewhere.md", "exec"), names)
            same_text(capsys.readouterr().out, text if following == "text" else "")


@pytest.mark.parametrize("number, chapter", [*enumerate(CHAPTERS, start=1)])
def test_a_chapter_has_all_its_parts(number, chapter):
    text = read(DOCS / f"{chapter}.md")
    assert text.startswith(f"# {number}. ")
    assert re.search(r"!\[[^\]]+\]\(images/\w+\.png\)", text), "a picture"
    assert any(language == "math" for language, _ in figure.blocks(chapter)), "a formula"
    assert "\n## Check\n" in text and "\n## What runs\n" in text
    assert text.count("<details><summary>Answer</summary>") == 2, "two exercises"
    for block in python_blocks(chapter):
        lines = [line for line in block.splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, block
    assert f"({chapter}.md)" in read(DOCS / "index.md"), "an entry of the contents"


def test_the_first_chapter_quotes_the_source():
    quoted = [block for language, block in figure.blocks("one_step") if language == "py"]
    source = read(ROOT / "examples/from_nothing.py")
    assert len(quoted) == 4 and all(block in source for block in quoted)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)
    for name, target in re.findall(r"\[([^\]]*)\]\(([^)#]+)\)", text):
        if "://" in target:
            continue
        assert (page.parent / target).exists(), target
        if target.endswith(".py") and re.fullmatch(r"`\w+(\.\w+)*`", name):  # what is defined there
            thing = name.strip("`").split(".")[-1]
            assert re.search(
                rf"(?m)(def|class) {thing}\b|^{thing} =", read(page.parent / target)
            ), name


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_what_its_script_computes(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    script = importlib.import_module(name)
    path = DOCS / f"images/{name}.png"
    assert path.stat().st_size < 60_000
    assert any(f"images/{name}.png" in read(page) for page in PAGES), "no page shows it"
    if hasattr(script, "TEST"):  # what it shows is too long, or another on each machine
        script.draw(script.numbers(**script.TEST))
        return
    with Image.open(path) as picture:
        drawn = json.loads(picture.text["numbers"])
    values = script.numbers()
    today = figure.digest(values)
    assert today.keys() == drawn.keys()
    for key, (mean, spread) in drawn.items():
        np.testing.assert_allclose(today[key], (mean, spread), 0.02, 0.05 * spread, err_msg=key)
    script.draw(values)


# Formulas.  GitHub takes $`...`$ and ```math blocks as they are; in bare dollars a backslash in
# front of punctuation is Markdown's, and is lost.


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_formula_loses_a_backslash(page):
    markdown_it = pytest.importorskip("markdown_it")
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(read(page))
    for inline in (token for token in tokens if token.type == "inline"):
        pieces = inline.children
        around = zip([None, *pieces], pieces, [*pieces[1:], None], strict=False)
        for before, piece, after in around:
            if piece.type == "text":
                rest = piece.content
                rest = rest[1:] if before and before.type == "code_inline" else rest
                rest = rest[:-1] if after and after.type == "code_inline" else rest
                assert "$" not in rest, f"a formula outside of $`...`$: {rest}"
            if piece.type == "code_inline" and before and before.content.endswith("$"):
                assert after and after.content.startswith("$"), piece.content
                assert piece.content.count("{") == piece.content.count("}"), piece.content
            elif piece.type == "code_inline":
                assert not re.search(r"\\(frac|sigma|partial|bar|top|odot)", piece.content), (
                    piece.content
                )


def test_the_navigation_is_the_reading_order():
    order = re.findall(r": (\w+)\.md$", read(ROOT / "mkdocs.yml"), re.MULTILINE)
    assert order[1 : 1 + len(CHAPTERS)] == CHAPTERS
    assert {f"{name}.md" for name in order} == {path.name for path in DOCS.glob("*.md")}


def test_the_site_builds_strictly(tmp_path):
    for package in ("mkdocs", "material", "latex2mathml"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path / "site"]
    subprocess.run(command, cwd=ROOT, check=True)
    page = read(tmp_path / "site/three_parameters/index.html")
    assert "<math" in page and "$`" not in page and "FORMULA" not in page
    assert not re.search(r'(src|<link [^>]*href)="https?:', page), "the site needs no network"
