"""Do slices through a model of the point-spread function become profiles?"""

import numpy as np
import pytest
from specreduce.tracing import FlatTrace

from slitlapse.extraction import PixelNoise, ProfileCube, ProfileExtract, gaussian_profile

OFFSET = np.linspace(-12, 12, 241)


def gaussian_cube(widths):
    light = np.exp(-0.5 * (OFFSET / np.asarray(widths)[:, None]) ** 2)
    return ProfileCube(np.linspace(4e3, 8e3, len(widths)), OFFSET, light)


def test_a_plane_is_integrated_over_pixels_at_any_sub_pixel_position():
    rows, centre = np.arange(30)[:, None], np.linspace(14.3, 15.3, 40)
    found = gaussian_cube([2.0, 2.0]).at(np.linspace(4e3, 8e3, 40))(rows, centre)
    # samples 0.1 px apart smooth the model by 0.1 / sqrt(12) px: 0.01 % of its width
    np.testing.assert_allclose(found, gaussian_profile(rows, centre, np.full(40, 2.0)), atol=1e-4)


def test_planes_are_interpolated_and_the_outermost_holds_beyond():
    rows, centre = np.arange(30)[:, None], np.full(3, 15.0)
    found = gaussian_cube([1.5, 2.5]).at(np.array([3e3, 6e3, 9e3]))(rows, centre)
    ends = [gaussian_profile(rows, np.array([15.0]), np.array([w]))[:, 0] for w in (1.5, 2.5)]
    np.testing.assert_allclose(found[:, 0], ends[0], atol=1e-3)
    np.testing.assert_allclose(found[:, 1], np.mean(ends, axis=0), atol=1e-3)
    np.testing.assert_allclose(found[:, 2], ends[1], atol=1e-3)


def test_images_of_a_point_source_are_collapsed_along_the_dispersion():
    y, x = np.mgrid[-20:21, -20:21] / 4
    image = np.exp(-0.5 * (y / 1.2) ** 2 - 0.5 * (x / 0.7) ** 2)
    cube = ProfileCube.from_psf([1.0, 2.0], np.stack([image, image]), oversampling=4)
    spread = np.sqrt(np.sum(cube.light[0] * cube.offset**2) / cube.light[0].sum())
    assert abs(spread - 1.2) < 0.01
    across = ProfileCube.from_psf([1.0, 2.0], np.stack([image, image]), 4, disp_axis=1)
    assert abs(np.sqrt(np.average(across.offset**2, weights=across.light[0])) - 0.7) < 0.01


def test_the_cube_extracts_a_star_whose_width_changes_with_wavelength():
    rows, width = np.arange(30)[:, None], np.linspace(1.5, 2.5, 200)
    star = 1e4 * gaussian_profile(rows, np.full(200, 14.7), width)
    profile = gaussian_cube(np.linspace(1.5, 2.5, 11)).at(np.linspace(4e3, 8e3, 200))
    extract = ProfileExtract(
        star, FlatTrace(star, 14.7), profile=profile, noise=PixelNoise(3.0), reject_sigma=None
    )
    np.testing.assert_allclose(extract.spectrum.flux.value, 1e4, rtol=2e-3)


def test_cubes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="there are 2 planes and 241 offsets"):
        ProfileCube(np.array([1.0, 2.0]), OFFSET, np.ones((3, 241)))
    with pytest.raises(ValueError, match="Plane 1 of the cube holds no light"):
        ProfileCube(np.array([1.0, 2.0]), OFFSET, np.array([[1.0], [0.0]]) * np.ones(241))
