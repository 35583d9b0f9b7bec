"""Does the noise model say how far pixels scatter?"""

import numpy as np
import pytest

from slitlapse.extraction import PixelNoise, RowWindow
from slitlapse.extraction.simulate import simulate_star


def test_the_model_is_the_scatter_of_simulated_pixels():
    rng = np.random.default_rng(7)
    shape, s, sky, dark = (11, 40), rng.uniform(0.8, 1.2, (11, 40)), 50.0, 10.0
    noise = PixelNoise(read_noise=5.0, sky=sky, dark=dark, sensitivity=s)
    kwargs = {"sky": sky, "dark": dark, "read_noise": 5.0, "sensitivity": s}
    draws = [simulate_star(900.0, shape, 5.2, 1.5, rng=rng, **kwargs) for _ in range(400)]
    scatter = np.var([d.data for d in draws], axis=0) / noise.total(draws[0].expected)
    assert abs(scatter.mean() - 1) < 4 * np.sqrt(2 / (400 * scatter.size)) + 1 / 400


def test_parts_add_up_and_terms_are_the_same_polynomial():
    rng = np.random.default_rng(8)
    images = rng.uniform(0.5, 1.5, (4, 6, 8))
    noise = PixelNoise(3.0, images[0], images[1], images[2], 0.05 * images[3])
    for light in (0.0, 200.0):
        total = noise.total(light)
        np.testing.assert_allclose(sum(noise.parts(light).values()), total, rtol=1e-12)
        constant, linear, square = noise.terms()
        np.testing.assert_allclose(constant + linear * light + square * light**2, total)


def test_a_variance_map_stands_for_all_noise():
    weight = np.array([[1.0, 0.0, 4.0]])
    with np.errstate(divide="ignore"):
        noise = PixelNoise(variance=1 / weight)
    np.testing.assert_array_equal(noise.bad, [[False, True, False]])
    assert noise.parts(1e5)["read"][0, 2] == 0.25
    assert noise.parts(1e5)["star"] == 0


def test_pixels_without_sensitivity_are_bad():
    noise = PixelNoise(3.0, sensitivity=np.array([[1.0, 0.0, np.nan]]))
    np.testing.assert_array_equal(noise.bad, [[False, True, True]])
    assert np.isfinite(noise.total(10.0)).all()


def test_a_cut_out_keeps_the_sky_fit_on_the_whole_frame():
    frame = np.arange(20.0)[:, None] * np.ones(6)
    whole = PixelNoise(2.0, sky=frame, aperture_variance=lambda w: (w * frame).sum(axis=0))
    window = RowWindow.around(np.linspace(8, 11, 6), half_rows=2, n_y=20)
    cut = whole.cut(window)
    assert cut.read_noise == 2.0
    weights = np.ones((5, 6))
    np.testing.assert_allclose(cut.aperture_variance(weights), cut.sky.sum(axis=0))


def test_a_sky_fit_that_can_cut_itself_is_asked_to():
    class SkyFit:
        def cut(self, window):
            return lambda weights: weights.sum(axis=0) * window.n_rows

    window = RowWindow.around(np.linspace(8, 11, 6), half_rows=2, n_y=20)
    cut = PixelNoise(2.0, aperture_variance=SkyFit()).cut(window)
    np.testing.assert_array_equal(cut.aperture_variance(np.ones((5, 6))), np.full(6, 25.0))


def test_quantities_and_nonsense_are_refused():
    import astropy.units as u

    with pytest.raises(ValueError, match="read_noise is <Quantity 3"):
        PixelNoise(3 * u.electron)
    with pytest.raises(ValueError, match="goes down to -1"):
        PixelNoise(-1.0)
