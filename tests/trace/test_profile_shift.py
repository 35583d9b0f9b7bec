"""One offset and one width factor per exposure come back, with honest errors."""

import numpy as np
import pytest

from slitlapse.trace import ProfileTrace, measure_profile_shift

SHAPE = (80, 1024)
X = np.linspace(-1, 1, SHAPE[1])
SHARED = ProfileTrace.from_curves(SHAPE, 40 + 4 * X, 2.0 + 0.2 * X, "moffat", beta=3.0)


@pytest.mark.parametrize(("flux", "seed"), [(2e4, 0), (1e3, 1), (150, 2)])
def test_offset_and_width_factor_are_honest(flux, seed):
    rng = np.random.default_rng(seed)
    pulls = []
    for _ in range(12):
        offset, factor = rng.uniform(-4, 4), rng.uniform(0.85, 1.2)
        image = 200 + flux * SHARED.profile_image(None, offset, factor)
        image = rng.poisson(image) + rng.normal(0, 4, SHAPE)
        found = measure_profile_shift(image, SHARED, read_noise=4)
        pulls.append(
            [
                (found.offset - offset) / found.offset_uncertainty,
                (found.width_factor - factor) / found.width_factor_uncertainty,
            ]
        )
    pulls = np.array(pulls)
    assert np.all(abs(pulls.std(axis=0) - 1) < 4 / np.sqrt(2 * 12))
    assert np.all(abs(pulls.mean(axis=0)) < 4 / np.sqrt(12))


def test_an_exposure_without_the_star_says_so():
    with pytest.raises(ValueError, match="good pixels"):
        measure_profile_shift(np.zeros(SHAPE), SHARED, read_noise=4, mask=np.ones(SHAPE, bool))
