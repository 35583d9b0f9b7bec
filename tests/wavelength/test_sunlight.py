import astropy.units as u
import numpy as np

from slitlapse.wavelength import sunlight_lines


def test_the_lines_are_those_that_everybody_knows():
    wavelength, width = sunlight_lines()
    assert np.all(np.diff(wavelength.value) > 0)
    assert wavelength.unit == u.AA and np.all(width > 0.2)
    for name, known in {"K": 3933.66, "H": 3968.47, "F": 4861.33, "b1": 5183.60, "D1": 5895.92,
                        "C": 6562.80}.items():  # fmt: skip
        assert np.min(np.abs(wavelength.value - known)) < 0.03, name
    deepest = wavelength[np.argsort(width)[-2:]].value
    assert np.allclose(np.sort(deepest), [3933.68, 3968.49], atol=0.01)
