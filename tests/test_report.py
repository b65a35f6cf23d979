"""report.html: what is on the page of a run, and that it stays small and loads nothing."""

import json
import re
import time

import numpy as np
import pytest
from helpers import LAST_STEP, run, words

from minigan import __main__ as tools
from minigan.training import report
from minigan.training.page import fill


def content(path):
    """What a page shows, and the page."""
    text = path.read_text(encoding="utf-8")
    [found] = re.findall(r"const DATA = (\{.*\});\n", text)
    return json.loads(found), text


def test_the_page_of_a_run(whole):
    shown, text = content(whole / "report.html")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)
    assert shown["name"] == "mnist_gan" and shown["last"] == LAST_STEP and shown["resumable"]
    assert [verdict["name"] for verdict in shown["verdicts"]] == ["Too early to tell"]
    assert [step for step, _ in shown["sheets"]] == [0, 5, 10]
    assert all(uri.startswith("data:image/png;base64,") for _, uri in shown["sheets"])
    panels = {panel["title"]: panel for panel in shown["panels"]}
    assert list(panels) == ["loss", "gradients", "shares"]
    assert set(panels["loss"]["lines"]) == {"ln 4", "ln 2"} and panels["gradients"]["log"]
    curves = {curve["label"]: curve for panel in panels.values() for curve in panel["series"]}
    assert list(curves) == ["d_loss", "g_loss", "|dfake|", "|dG|", "|dD|", "D(x)", "D(G(z))"]
    assert curves["d_loss"]["x"] == list(range(1, 11)) and curves["|dG|"]["x"] == [10]
    names = dict(shown["configuration"])
    assert names["batch_size"] == "8" and "limit" not in names  # nobody set one


def test_the_command_writes_what_the_run_has_written(whole, tmp_path, capsys):
    assert run(tools.main, "report", whole, "--out", tmp_path / "page.html") == 0
    assert "page.html, 0.1 MB: open it in a browser" in capsys.readouterr().out
    assert (tmp_path / "page.html").read_bytes() == (whole / "report.html").read_bytes()


def test_without_checkpoint_pictures_or_configuration(whole, tmp_path):
    for name in ("checkpoint.npz", "config.json", *(f"samples/epoch_00{n}.png" for n in range(3))):
        (whole / name).unlink()
    assert run(tools.main, "report", whole, "--out", tmp_path / "page.html") == 0
    shown, _ = content(tmp_path / "page.html")
    assert shown["name"] == "whole" and shown["sheets"] == shown["configuration"] == []
    assert not shown["resumable"]


def test_pictures_of_a_run_that_went_further_are_not_shown(gan, pictures, tmp_path):
    assert run(gan.main, *words(pictures, tmp_path, "--sample-every", 3)) == 0
    (tmp_path / "samples" / "epoch_007.png").write_bytes(b"x")
    (tmp_path / "samples" / "step_000099.png").write_bytes(b"x")
    (tmp_path / "samples" / "my_own.png").write_bytes(b"x")
    assert run(tools.main, "report", tmp_path, "--out", tmp_path / "page.html") == 0
    assert [step for step, _ in content(tmp_path / "page.html")[0]["sheets"]] == [0, 3, 5, 6, 9, 10]


@pytest.mark.parametrize("text", [
    "{", "[1, 2]", "\x89PNG", pytest.param("[" * 200_000, id="deep"),
])  # fmt: skip
def test_a_damaged_configuration(whole, tmp_path, text, capsys):
    (whole / "config.json").write_text(text, encoding="latin-1")
    assert run(tools.main, "report", whole, "--out", tmp_path / "page.html") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "config.json is damaged" in line
    assert not (tmp_path / "page.html").exists()


def test_where_nothing_can_be_written(whole, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(tools.main, "report", whole, "--out", tmp_path / "file" / "page.html") == 2
    assert "cannot write" in capsys.readouterr().err


def test_names_from_files_end_no_script():
    text = fill("const DATA = /*CONTENT*/null;", {"name": "</script><script>alert(1)"})
    assert "<" not in text and json.loads(text[13:-1])["name"].startswith("</script>")


def test_a_long_run_is_thinned(tmp_path):
    """To its lowest, mean and highest: no spike is lost."""
    count = 100_000
    values = np.random.default_rng(0).random(count)
    values[77_777] = 50.0
    columns = {"step": np.arange(1, count + 1), "epoch": np.arange(count) // 500 + 1}
    columns |= {"d_loss": values, "frechet": np.where(columns["step"] % 5000 == 0, values, np.nan)}
    samples = tmp_path / "samples"
    samples.mkdir()
    for epoch in range(201):
        (samples / f"epoch_{epoch:03d}.png").write_bytes(bytes(100_000))
    start = time.process_time()
    text = report.page(tmp_path, "long", columns, [])
    assert time.process_time() - start < 1  # 0.1 s on an idle core
    (tmp_path / "page.html").write_text(text)
    shown, _ = content(tmp_path / "page.html")
    loss, frechet = (panel["series"][0] for panel in shown["panels"])
    assert len(loss["x"]) == report.POINTS and loss["x"][-1] == count
    assert max(loss["high"]) == 50 and np.abs(np.mean(loss["y"]) - values.mean()) < 1e-3
    assert frechet["x"] == list(range(5000, count + 1, 5000)) and "low" not in frechet
    steps = [step for step, _ in shown["sheets"]]
    assert steps[0] == 0 and steps[-1] == count and len(steps) == report.BUDGET // 100_000
    assert len(text) < 4e6
