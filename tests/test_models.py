"""The reference models have the parameter counts of their originals."""

import parity
import pytest

# (script, its words, generator trainable, moving, discriminator trainable, moving)
COUNTS = [
    ("mnist_gan", [], 1_486_352, 0, 1_460_225, 0),
    ("mnist_dcgan", [], 3_222_785, 1_792, 1_486_337, 1_536),
    ("cifar_dcgan", [], 3_225_091, 1_792, 1_488_641, 1_536),
    ("mnist_conv_gan", [], 4_263_101, 78_700, 9_707_266, 0),
    ("mnist_conv_gan", ["--original"], 4_262_913, 78_512, 9_707_266, 0),
    ("dcgan", [], 3_574_656, 1_920, 2_763_520, 1_792),
    ("anime_dcgan", [], 12_661_888, 3_840, 2_767_296, 1_792),
    ("anime_dcgan", ["--original"], 12_661_888, 3_840, 2_767_424, 1_920),
]


@pytest.mark.parametrize("script, words, g_params, g_moving, d_params, d_moving", COUNTS)
class TestCounts:
    def test_of_the_networks(self, script, words, g_params, g_moving, d_params, d_moving):
        options = parity.example_options(original="--original" in words)
        module = parity.example(script)
        G, D = module.generator(options), module.discriminator(options)
        assert (G.param_count, G.buffer_count) == (g_params, g_moving)
        assert (D.param_count, D.buffer_count) == (d_params, d_moving)

    def test_in_the_summary(
        self, script, words, g_params, g_moving, d_params, d_moving, capsys, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        assert not parity.example(script).main(["--summary", *words])
        totals = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert ["generator", f"{g_params:,}", f"{g_moving:,}"] in totals
        assert ["discriminator", f"{d_params:,}", f"{d_moving:,}"] in totals
        assert not list(tmp_path.iterdir()), "a summary needs no folder"


@pytest.mark.parametrize("script", dict.fromkeys(script for script, *_ in COUNTS))
def test_networks_fit_together_at_any_width(script):
    """Images of G are what D reads, and channels never vanish."""
    for width in (0.001, 0.03):
        options = parity.example_options(width=width)
        module = parity.example(script)
        shape = module.generator(options).output_shape((module.LATENT.size,))
        logits = module.discriminator(options).output_shape(shape)
        assert logits == ((2,) if script == "mnist_conv_gan" else (1,))


def test_the_up_sampling_variant_has_no_strided_transposed_convolutions():
    G = parity.example("dcgan").generator(parity.example_options(width=0.1, upsample=True))
    names = [type(layer).__name__ for layer in G.layers]
    assert names.count("UpSample2d") == names.count("Conv2d") == 4
    assert names.count("ConvTranspose2d") == 1
    assert G.output_shape((100,)) == (64, 64, 1)
