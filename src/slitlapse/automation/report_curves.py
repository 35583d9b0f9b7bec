"""The second half of the report: what changed through the night, and the light curves."""

import numpy as np

from slitlapse.automation import explain
from slitlapse.automation.comparisons import check_comparisons, choose_aperture
from slitlapse.automation.light_curves import common_edges, light_curves
from slitlapse.automation.movies import through_time, through_wavelength
from slitlapse.automation.scatter import (
    FEWEST_WITH_TRANSIT,
    measure_scatter,
    scatter_by_bin_size,
)
from slitlapse.automation.verdict import find_target

__all__ = ["add_drawn", "tell_changes", "tell_light_curves"]

N_BINS = 10  # colours of the noise table
FEWEST = 8  # exposures of which a scatter says something


def add_drawn(page, draw, caption, **size):
    """
    Draw one figure, put it on the page, and close it.

    Parameters
    ----------
    page : `~slitlapse.look.ReportPage`
    draw : callable
        Gets the figure.
    caption : str
    **size
        For the figure.
    """
    import matplotlib.pyplot as plt

    figure = plt.figure(layout="constrained", **({"figsize": (9, 4)} | size))
    try:
        draw(figure)
        page.add_figure(figure, caption)
    finally:
        plt.close(figure)


def tell_changes(page, series):
    """
    Show all stars through the night and what was measured beside them.

    Parameters
    ----------
    page : `~slitlapse.look.ReportPage`
    series : dict of str to SpectralTimeSeries
    """
    import matplotlib.pyplot as plt

    stars = list(series.values())
    page.add_section("What changed through the night?")
    page.add_movie(
        through_time(stars),
        "Through time: the spectra of all stars, exposure by exposure, their means dashed; beside "
        "them what was measured, and a line at the exposure shown.",
        label="exposure",
    )
    axes = explain.plot_diagnostics(stars)
    page.add_figure(axes[0].figure, "Measured beside the spectra, exposure by exposure.")
    plt.close(axes[0].figure)


def tell_light_curves(page, series):
    """
    Divide the target by its comparison stars, and judge the result.

    Parameters
    ----------
    page : `~slitlapse.look.ReportPage`
    series : dict of str to SpectralTimeSeries
        Of two exposures or more.
    """
    page.add_section("How bright were the stars?")
    target, others = find_target(series)
    try:
        edges = common_edges([target, *others])
    except ValueError as error:  # stars that do not overlap are shown alone
        page.add_text(f"No star is divided by another: {error}")
        edges, others = common_edges([target]), []
    check = check_comparisons(others, target)
    quiet = check.quiet(others) or others
    _tell_white_light(page, target, others, quiet)
    page.add_movie(
        through_wavelength([target, *others], target, quiet),
        "Through wavelength: the light curves of all stars over their own means, colour by colour, "
        "and last the ratio; beside them where in the spectrum the colour lies.",
        label="colour",
    )
    if target.shape[1] < FEWEST:
        page.add_text(f"{target.shape[1]} exposures are too few to say how much they scatter.")
        return
    curves = light_curves(target, quiet, wavelength=np.linspace(*edges, N_BINS + 1))
    _tell_noise(page, target, quiet, curves)
    if len(others) > 1:
        _tell_comparisons(page, check)
    if len(quiet) > 1 and quiet[0].other_fluxes:
        choice = choose_aperture(target, quiet)
        page.add_text(
            f"Judged on {choice.basis} alone, so that the target's own light has no say, the best "
            f"of the fluxes is '{choice.name}'."
        )
        page.add_table(choice.table)


def _tell_white_light(page, target, others, quiet):
    """The ratio first, then every star alone."""
    if quiet:
        names = " and ".join(star.name for star in quiet)
        curve = light_curves(target, quiet)
        add_drawn(
            page,
            lambda figure: explain.plot_light_curves(curve, ax=figure.add_subplot(), color="k"),
            f"White light of star {target.name} over {names}, with its errors.",
            figsize=(9, 3),
        )
    for star in [target, *others]:
        curve = light_curves(star)
        add_drawn(
            page,
            lambda figure, c=curve: explain.plot_light_curves(
                c, ax=figure.add_subplot(), color="k"
            ),
            f"White light of star {star.name} alone: clouds and the air are still in it.",
            figsize=(9, 2.5),
        )


def _tell_noise(page, target, quiet, curves):
    """Table and pictures: scatter against what was expected."""
    transit = target.shape[1] >= FEWEST_WITH_TRANSIT
    table = measure_scatter(curves, transit=transit)
    words = "over its comparison stars" if quiet else "alone"
    model = (
        "a trend and a transit leave" if transit else "a trend leaves (a transit is still in it)"
    )
    page.add_text(
        f"Noise of star {target.name} {words}, bin by bin: what {model}, beside what the noise "
        "budget says (an excess of 1 is a complete budget)."
    )
    table["wavelength"].info.format = ".1f"
    page.add_table(table)
    white = scatter_by_bin_size(light_curves(target, quiet), transit=transit)

    def draw(figure):
        left, right = figure.subplots(1, 2)
        explain.plot_scatter(table, ax=left)
        explain.plot_scatter_by_bin_size(white, ax=right, labels=["white light"])

    def draw_left(figure):
        explain.plot_scatter(table, ax=figure.add_subplot())

    if len(white):
        add_drawn(
            page, draw, "Scatter beside the expected noise: per bin of wavelength, and of white "
            "light as more and more exposures are averaged, where white noise follows the line.",
        )  # fmt: skip
    else:
        add_drawn(page, draw_left, "Scatter beside the expected noise, per bin of wavelength.")


def _tell_comparisons(page, check):
    page.add_text("Every comparison star over the sum of all others, in white light:")
    page.add_table(check.table)
    if check.variable:
        page.add_text(f"Left out of the ratio: {', '.join(check.variable)}.")
