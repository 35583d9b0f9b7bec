"""Do the correlations belong to each star's own aperture?"""

from types import SimpleNamespace

import numpy as np

from slitlapse.automation.sky_correlations import sky_correlations
from slitlapse.sky import SkyGeometry, column_correlations

N_Y, N_X = 70, 150
Y, X = np.mgrid[5 : 5 + N_Y, :N_X].astype(float)


def plan(geometry):
    traces = {name: SimpleNamespace(trace=row + 0.02 * X[0]) for name, row in STARS.items()}
    sky = SimpleNamespace(geometry=geometry, rows=slice(5, 5 + N_Y))
    return SimpleNamespace(sky=sky, traces=traces, widths=(8.0, 10.5, 14.0))


STARS = {"A": 25.0, "B": 55.0}


def test_they_are_those_of_the_headline_aperture_of_every_star():
    sky = np.abs(Y - 28) > 8
    geometry = SkyGeometry(X - 0.05 * Y, sky & (np.abs(Y - 58) > 8), spatial_degree=0)
    found = sky_correlations(plan(geometry))
    assert list(found) == ["A", "B"]
    for name, row in STARS.items():
        box = np.clip(5.25 + 0.5 - np.abs(Y - row - 0.02 * X), 0, 1)
        assert np.isclose(box.sum(axis=0), 10.5).all()
        assert np.allclose(found[name], column_correlations(geometry, box), atol=1e-9)
        assert np.abs(found[name][0]).mean() > 0.05


def test_columns_with_a_sky_of_their_own_have_none():
    assert sky_correlations(plan(None)) == {}
