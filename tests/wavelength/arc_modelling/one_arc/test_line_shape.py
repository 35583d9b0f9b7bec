"""The shape of arc lines: interpolated as worked out, centred where fits find it, derivatives."""

import numpy as np
import pytest

from slitlapse.wavelength.arc_lines.line_fit import fit_lines
from slitlapse.wavelength.arc_modelling.one_arc.line_shape import LineShape, typical_widths

REACH = 10


def widths():
    shape = typical_widths(2.5)
    shape[:, 0] += [0.1, -0.2, 0.06, 0.08]
    shape[:, 1] = [0.15, 0.0, 0.03, -0.02]
    shape[:, 2] = [-0.1, 0.0, 0.01, 0.02]
    return shape


@pytest.mark.parametrize("along", [-1.0, 0.0, 0.5, 1.0])
def test_light_and_place_do_not_depend_on_where_in_a_pixel_a_line_is(along):
    shape = LineShape(widths(), REACH)
    centre = np.random.default_rng(0).uniform(30, 40, 400)
    share, moved, *_ = shape.at(centre, np.full(400, along))
    place = shape.first_pixel(centre)[:, None] + np.arange(2 * REACH + 1)
    wings = widths()[3] @ [1, along, 1.5 * along**2 - 0.5]
    light = 1 + 12 / np.sqrt(384) * wings  # the function of fourth order has light of its own
    np.testing.assert_allclose(share.sum(axis=1), light, atol=1e-4)
    mean = (share * place).sum(axis=1) / light - centre
    assert np.ptp(mean) < 1e-3
    np.testing.assert_allclose((moved * place).sum(axis=1), light, atol=2e-3)


def test_derivatives_are_those_of_the_shares():
    # at one of the places where shapes are worked out: between them both are interpolated; and of
    # lines that do not lean yet: where they do, what moves their centre is held from step to step
    centre, along = np.random.default_rng(1).uniform(30, 40, 50), np.full(50, 0.5)
    step, upright = 0.005, widths()
    upright[2] = 0
    for k, change in enumerate(LineShape(upright, REACH).at(centre, along)[2:]):
        one = step * np.eye(4)[k][:, None] * [1, 0, 0]
        more, less = (LineShape(upright + by, REACH).at(centre, along)[0] for by in (one, -one))
        np.testing.assert_allclose(change, (more - less) / (2 * step), atol=1e-4)


@pytest.mark.parametrize("lean", [-0.1, 0.05, 0.1])
def test_a_leaning_line_is_where_lines_are_looked_for(lean):
    shape = typical_widths(4.0)
    shape[2, 0] = lean
    line = LineShape(shape, 14)
    centre = np.arange(50.0, 1500, 50) + np.random.default_rng(2).uniform(-0.5, 0.5, 29)
    share = line.at(centre, np.zeros(29))[0]
    first, flux = line.first_pixel(centre), np.full(1600, 100.0)
    for start, part in zip(first, share, strict=True):
        flux[start : start + 29] += 1e6 * part
    off = fit_lines(flux, np.full(1600, 30.0), np.round(centre).astype(int), 4.0)[:, 0] - centre
    mean = (share * (first[:, None] + np.arange(29))).sum(axis=1) - centre
    assert abs(mean.mean()) > 0.03  # the light's mean is elsewhere, so this is worth a test
    np.testing.assert_allclose(off, 0, atol=0.1 * abs(mean.mean()))
