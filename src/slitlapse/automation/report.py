"""The report of a night: one page with a picture per step and a verdict in plain words."""

from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np

from slitlapse.automation import explain
from slitlapse.automation.report_curves import add_drawn, tell_changes, tell_light_curves
from slitlapse.automation.verdict import judge_night
from slitlapse.automation.wavelength_check import tell_check
from slitlapse.flats.explain import plot_flat_steps
from slitlapse.look import ReportPage, show_frame
from slitlapse.observing_log import flip_through, plot_night
from slitlapse.sky import SkyWindows
from slitlapse.trace.explain import plot_trace_on_image
from slitlapse.wavelength.explain import plot_wavelength_residuals

__all__ = ["NightReport", "night_report"]

MOST_PAGES = 40  # of the flip-book: a longer night is thinned out evenly
MOST_PIXELS = 1024  # along either side of a picture of a frame


@dataclass(frozen=True)
class NightReport:
    """
    The page that was written, and its verdict.

    Parameters
    ----------
    path : `~pathlib.Path`
    verdict : tuple of str
        One sentence for each thing that deserves attention; empty for a clean night.
    """

    path: Path
    verdict: tuple = ()


def night_report(
    night, log, chosen, calibration, placements, solutions, series, notes, checks=None
):
    """
    Write ``report/index.html``: one page that opens from disk.

    Parameters
    ----------
    night : Night
    log : `~astropy.table.QTable`
    chosen : ChosenFrames
    calibration : Calibration
    placements : list of Placement
    solutions : dict of str to StarWavelengths
    series : dict of str to SpectralTimeSeries
    notes : sequence of str
    checks : dict of str to WavelengthCheck or None, optional
        What the exposures' own lines say of the wavelengths.

    Returns
    -------
    NightReport
    """
    verdict = judge_night(series, solutions, arcs=len(chosen["arc"]), checks=checks)
    page = ReportPage(f"{_title(night, chosen)}, {night.instrument.name}")
    page.add_section("Verdict")
    page.add_list(verdict or ["Nothing in this night calls for attention."], name="verdict")
    if notes:
        page.add_text("What was missing or left out:").add_list(list(notes))
    _tell_log(page, night, log)
    _tell_calibration(page, calibration)
    for placement in placements:
        _tell_stars(page, placement)
    if series:
        _tell_sky(page, placements, series)
        _tell_series(page, series)
    _tell_wavelengths(page, solutions, {} if checks is None else checks)
    if series and next(iter(series.values())).shape[1] > 1:
        tell_changes(page, series)
        tell_light_curves(page, series)
    folder = night.output / "report"
    folder.mkdir(parents=True, exist_ok=True)
    return NightReport(page.write(folder / "index.html"), tuple(verdict))


def _title(night, chosen):
    science = chosen["science"]
    name = str(science["object"][0]) if len(science) else "Calibrations"
    return f"Night of {name or 'an object without a name'}"


def _tell_log(page, night, log):
    import matplotlib.pyplot as plt

    page.add_section("What data did we gather?")
    columns = ["filename", "kind", "lamps", "time", "exposure_time", "object", "airmass"]
    page.add_table(log[[name for name in columns if name in log.colnames]])
    axes = plot_night(log)
    page.add_figure(axes[0].figure, "The night: what was exposed when, through how much air.")
    plt.close(axes[0].figure)
    step = -(-len(log) // MOST_PAGES)
    book = flip_through(log[::step], folder=night.data, extension=night.instrument.extension)
    page.add_flipbook(book.to_png(), book.titles)
    if step > 1:
        page.add_text(f"The flip-book shows {len(book)} of the {len(log)} frames, evenly chosen.")


def _tell_calibration(page, calibration):
    page.add_section("How many photons, and how sensitive are the pixels?")
    noises = ", ".join(f"{n.to_value(u.electron):.2f}" for n in calibration.door.read_noises)
    page.add_text(
        f"The read noise of the amplifiers is {noises} electron ({calibration.read_noise_source})."
    )
    if calibration.door.bias is not None:
        add_drawn(
            page,
            lambda figure: show_frame(
                calibration.door.bias, figure.add_subplot(), most_pixels=MOST_PIXELS
            ),
            "The master bias: what reading adds everywhere, after the overscan is taken off.",
        )
    if calibration.door.sensitivity is not None:
        add_drawn(
            page,
            lambda figure: plot_flat_steps(
                calibration.flat,
                calibration.door.sensitivity,
                axes=figure.subplots(3, 1),
                most_pixels=MOST_PIXELS,
            ),
            "The combined flat is a smooth lamp times the sensitivity of each pixel.",
            figsize=(9, 8),
        )


def _tell_stars(page, placement):
    page.add_section("How is the stars' light positioned?")
    image = placement.image

    def draw(figure):
        ax = show_frame(image, figure.add_subplot(), stretch="asinh", most_pixels=MOST_PIXELS)
        for name, trace in placement.traces.items():
            centre = np.asarray(trace.trace, float)
            ax.plot(centre + 1.5 * trace.fwhm, color="tab:orange", lw=0.8)
            ax.plot(centre - 1.5 * trace.fwhm, color="tab:orange", lw=0.8)
            ax.annotate(name, (len(centre) - 1, centre[-1]), color="tab:orange", weight="bold")

    names = f"{len(placement.filenames)} exposures"
    add_drawn(page, draw, f"The mean of {names}, and between the lines each star.")
    for name, trace in placement.traces.items():
        add_drawn(
            page,
            lambda figure, trace=trace: plot_trace_on_image(
                image, trace, axes=figure.subplots(3, 1)
            ),
            f"Star {name}: centre and width along the spectrum, each with its smooth curve.",
            figsize=(9, 7),
        )


def _tell_wavelengths(page, solutions, checks):
    if not solutions:
        return
    page.add_section("How do pixels relate to wavelengths?")
    for name, star in solutions.items():
        solution = star.main
        page.add_text(f"Star {name}: {solution.verdict}")
        if name in checks:
            page.add_text(tell_check(checks[name]))

        def draw(figure, solution=solution):
            plot_wavelength_residuals(solution, ax=figure.add_subplot())

        caption = (
            f"Star {name}: how far each lamp's lines are from the curve, with their errors. Blends "
            "of lines whose brightness nobody knows have large ones."
        )
        add_drawn(page, draw, caption, figsize=(9, 3.5))


def _tell_sky(page, placements, series):
    page.add_section("How many photons come from the sky?")
    windows = [SkyWindows.from_text(s.metadata["sky_windows"]) for s in series.values()
               if "sky_windows" in s.metadata]  # fmt: skip
    for placement in placements:
        add_drawn(
            page,
            lambda figure, p=placement: explain.plot_sky(
                p.image, p.traces, windows, ax=figure.add_subplot()
            ),
            "A cut across the slit in the middle of the spectrum: sky is looked for in the grey "
            "rows, where it is not under a star.",
            figsize=(9, 3),
        )

    def draw(figure):
        ax = figure.add_subplot()
        for star, style in zip(series.values(), "-:" * len(series), strict=False):
            sky = np.ma.masked_array(star.fluxlike["sky"].value, star.mask)
            median = np.ma.median(sky, axis=1).filled(np.nan)
            ax.plot(star.wavelength.value, median, "k", ls=style, lw=0.8, label=f"star {star.name}")
        ax.legend(frameon=False, ncols=4)
        ax.set(xlabel=f"wavelength ({star.wavelength.unit})", ylabel=f"sky ({star.flux.unit})")

    if all("sky" in star.fluxlike for star in series.values()):
        words = "The sky that was taken off, summed over the aperture, in a typical exposure."
        add_drawn(page, draw, words, figsize=(9, 3))


def _tell_series(page, series):
    page.add_section("How many photons come from the stars?")
    for star in series.values():
        add_drawn(
            page,
            lambda f, s=star: explain.plot_mean_spectrum(s, ax=f.add_subplot()),
            "The mean spectrum.",
        )
        add_drawn(
            page,
            lambda f, s=star: explain.plot_noise(s, ax=f.add_subplot()),
            "Where the noise of one exposure comes from.",
        )
        if star.shape[1] > 1:
            add_drawn(
                page,
                lambda f, s=star: s.imshow(ax=f.add_subplot()),
                "Flux over its median in time: what changes through the night, and where.",
            )
