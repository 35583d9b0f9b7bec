"""Is the simulated star what it says it is?"""

import numpy as np
import pytest

from slitlapse.extraction.simulate import add_hits, add_hot_pixels, simulate_star, star_profile

FAMILIES = ["gaussian", "moffat", "double", "asymmetric"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_profile_holds_all_the_light_at_its_place(family):
    rows, centre, width = np.arange(-400, 460)[:, None], np.full(3, 30.2), np.full(3, 2.0)
    profile = star_profile(family, rows, centre, width, beta=3.0)
    np.testing.assert_allclose(profile.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose((profile * rows).sum(axis=0), 30.2, atol=1e-3)


@pytest.mark.parametrize("family", ["gaussian", "moffat", "double"])
def test_a_profile_has_the_width_it_was_asked_for(family):
    fine, scale = np.arange(-4000, 4001)[:, None], 200.0
    profile = star_profile(family, fine, np.zeros(1), np.full(1, scale))[:, 0]
    fwhm = np.sum(profile > profile.max() / 2) / scale
    assert abs(fwhm / 2.3548 - 1) < 0.006  # one fine pixel on either side


def test_counts_scatter_as_the_variance_says():
    rng = np.random.default_rng(11)
    stars = [
        simulate_star(5e3, (21, 30), 10.3, 2.0, rng=rng, sky=40.0, dark=5.0, read_noise=4.0)
        for _ in range(300)
    ]
    residual = np.array([star.data - star.expected for star in stars])
    pull = residual / np.sqrt(stars[0].variance)
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size)


def test_hits_are_added_to_a_copy():
    frame = np.zeros((50, 60))
    struck, hit = add_hits(frame, 10, rng=np.random.default_rng(2))
    assert not frame.any()
    np.testing.assert_array_equal(struck, hit)
    assert hit.sum() > 0


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="no profile family 'airy'"):
        star_profile("airy", np.arange(3)[:, None], np.ones(1), np.ones(1))


def test_hot_pixels_are_as_many_as_asked_for_and_named():
    heated, hot = add_hot_pixels(np.zeros((200, 200)), 0.01, rng=np.random.default_rng(4))
    assert abs(hot.sum() - 400) < 4 * np.sqrt(400)
    np.testing.assert_array_equal(heated > 0, hot)


def test_the_sky_can_stay_in_the_frame():
    kwargs = {"sky": 80.0, "dark": 10.0}
    with_sky, without = (
        simulate_star(
            1e3, (21, 50), 10.0, 2.0, rng=np.random.default_rng(5), keep_sky=keep, **kwargs
        )
        for keep in (True, False)
    )
    np.testing.assert_allclose(with_sky.data - without.data, 80)
