"""The part of the report about light curves."""

import numpy as np
import pytest

from slitlapse.automation.report_curves import tell_changes, tell_light_curves
from slitlapse.look import ReportPage


@pytest.fixture
def page():
    return ReportPage("A night")


def test_both_movies_are_there(toy_night, page):
    tell_changes(page, toy_night.result.series)
    tell_light_curves(page, toy_night.result.series)
    html = page.to_html()
    assert html.count('<div class="flip"') == 2
    assert html.count("<svg") == 2
    assert "Through time: the spectra of all stars" in html
    assert "Through wavelength: the light curves of all stars" in html


def test_the_noise_table_compares_with_what_was_expected(toy_night, page):
    tell_light_curves(page, toy_night.result.series)
    html = page.to_html()
    for column in ("wavelength (Angstrom)", "scatter", "expected", "excess"):
        assert f'<th scope="col">{column}</th>' in html


def test_comparison_stars_are_judged_where_there_are_several(toy_night, page):
    two = toy_night.result.series
    three = two | {"other": two["comparison"].with_flux(two["comparison"].other_fluxes[0])}
    three["other"].metadata["star"] = "other"
    tell_light_curves(page, three)
    html = page.to_html()
    assert "Every comparison star over the sum of all others" in html
    tell_light_curves(ReportPage("x"), two)


def test_a_single_star_and_a_short_night_are_told_as_far_as_they_go(toy_night, page):
    series = {name: star[:, :3] for name, star in toy_night.result.series.items()}
    tell_light_curves(page, {"target": series["target"]})
    html = page.to_html()
    assert "White light of star target alone" in html
    assert "3 exposures are too few" in html


def test_stars_that_do_not_overlap_are_shown_alone(toy_night, page):
    series = toy_night.result.series
    half = series["target"].shape[0] // 2
    apart = {
        "target": series["target"][: half - 60],
        "comparison": series["comparison"][half + 60 :],
    }
    tell_light_curves(page, apart)
    assert "have no wavelength in common" in page.to_html()
    assert np.isfinite(series["target"].flux.value).any()
