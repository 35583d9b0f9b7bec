"""The verdict: what is believed says why, what is not says why not."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from slitlapse.wavelength import WavelengthSolution
from slitlapse.wavelength.solution_verdict import WavelengthError, give_verdict

CURVE = WavelengthSolution([5500.0, 500.0], (0, 1000), 1001, covariance=np.eye(2) * 1e-4)


def relation(n_used=9, scatter=0.0, modelled=False):
    lines = QTable({"pixel": np.linspace(10, 990, 10) * u.pix, "used": np.arange(10) < n_used,
                    "residual": np.full(10, 0.02) * u.AA})  # fmt: skip
    found = {"scatter": scatter, "modelled": modelled}
    return SimpleNamespace(lines=lines, coefficients=np.array([5500.0, 500.0]), **found)


def odds(evidence, rival):
    return SimpleNamespace(evidence=evidence, rival=rival)


def test_what_is_believed_says_how_well_it_is_known():
    text = give_verdict(odds(80.0, -3.0), relation(), CURVE, "HeNe")
    assert text.startswith("9 of 10 lines of HeNe used; log odds against chance 80")
    assert "0.02 angstrom (0.02 pixel)" in text
    assert "scatter" not in text and "models" not in text
    assert "models of the whole" in give_verdict(
        odds(80.0, 0), relation(modelled=True), CURVE, "Hg"
    )
    assert "0.3 pixel beyond" in give_verdict(odds(80.0, 0), relation(scatter=0.3), CURVE, "HeNe")


@pytest.mark.parametrize(
    ("evidence", "rival", "n_used", "why"),
    [(2.0, -9.0, 9, "better than by chance"), (50.0, 48.0, 9, "almost as well"),
     (50.0, 0.0, 2, "only 2 lines agree")],
)  # fmt: skip
def test_what_is_not_believed_says_why(evidence, rival, n_used, why):
    with pytest.raises(WavelengthError, match=why):
        give_verdict(odds(evidence, rival), relation(n_used), CURVE, "Ar")
