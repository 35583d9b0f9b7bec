"""Tests of simulated sky: exact in total flux, and what it says it is."""

import numpy as np
from scipy.integrate import dblquad

from slitlapse.sky.simulate import LineShape, SkyScene, SkySpectrum, sky_image, sky_scene

SHAPE = (40, 120)
LINE = SkySpectrum([60.3], [1e4], 1.3, (5.0, 0.02))


def test_a_line_keeps_its_flux():
    image = sky_image(SkySpectrum([60.3], [1e4], 1.3), LineShape(shape=SHAPE))
    np.testing.assert_allclose(image.sum(axis=1), 1e4, rtol=1e-6)


def test_the_illumination_is_integrated_over_each_row():
    image = sky_image(
        SkySpectrum([60.3], [1e4], 1.3), LineShape(0, 0, 0, SHAPE), lambda y: 1 + 0.01 * y**2
    )
    y = np.arange(SHAPE[0])
    np.testing.assert_allclose(image.sum(axis=1), 1e4 * (1 + 0.01 * (y**2 + 1 / 12)), rtol=1e-9)


def test_a_pixel_holds_the_integral_over_its_area():
    shape = LineShape(tilt=3.0, curvature=0.5, twist=0.2, shape=SHAPE)
    image = sky_image(LINE, shape)

    def density(x, y):
        u, d = shape(x, y), 1e-4
        slope = (shape(x + d, y) - shape(x - d, y)) / (2 * d)
        line = 1e4 * np.exp(-0.5 * ((u - 60.3) / 1.3) ** 2) / 1.3 / np.sqrt(2 * np.pi)
        return (line + 5.0 + 0.02 * u) * slope

    for y, x in ((3, 61), (20, 60), (37, 58)):
        exact = dblquad(density, y - 0.5, y + 0.5, x - 0.5, x + 0.5, epsabs=1e-8)[0]
        np.testing.assert_allclose(image[y, x], exact, rtol=1e-6)


def test_lines_move_by_tilt_and_curvature():
    shape = LineShape(tilt=6.0, curvature=1.5, twist=0.0, shape=(401, 100))
    effective = shape.image()
    v = np.array([0, 200, 400])
    np.testing.assert_allclose(effective[v, 50] - 50, [3 + 1.5, 0, -3 + 1.5], atol=0.03)
    image = sky_image(SkySpectrum([50.0], [1e4], 1.3), shape)
    centroid = image @ np.arange(100) / image.sum(axis=1)
    np.testing.assert_allclose(np.diag(effective[:, np.rint(centroid).astype(int)]), 50, atol=0.6)


def test_a_scene_has_the_noise_it_says():
    scene = sky_scene((60, 300), rng=np.random.default_rng(1), rows=(20, 45), n_lines=10)
    assert isinstance(scene, SkyScene)
    data, hit = scene.observe(np.random.default_rng(2))
    pull = ((data - scene.sky - scene.stars) / np.sqrt(scene.variance))[~hit]
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size)
    assert abs(hit.mean() - scene.hits) < 4 * np.sqrt(scene.hits / hit.size)


def test_stars_of_a_scene_keep_their_flux_and_place():
    scene = sky_scene((400, 50), rng=np.random.default_rng(1), fluxes=(19000.0, 0.0))
    y = np.arange(400)
    # a Moffat profile of index 3 keeps 4 (alpha / r)^5 / (5 pi * 3 / 8) outside r
    np.testing.assert_allclose(scene.stars.sum(axis=0), 19000, rtol=1e-4)
    centroid = y @ scene.stars / scene.stars.sum(axis=0)
    np.testing.assert_allclose(centroid, scene.traces[0], atol=0.05)
    assert scene.aperture(0).sum(axis=0).tolist() == [17] * 50
    assert not scene.far_from_stars(20)[np.rint(scene.traces[0]).astype(int), np.arange(50)].any()


def test_the_same_seed_gives_the_same_sky():
    one, two = (sky_scene((40, 60), rng=np.random.default_rng(5), rows=(20,), fluxes=(1e3,))
                for _ in range(2))  # fmt: skip
    np.testing.assert_array_equal(one.sky, two.sky)
