"""The night in one loop: the story of one exposure, told for all of them."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from slitlapse.automation import products
from slitlapse.automation.assemble import assemble_series, series_filename
from slitlapse.automation.calibration import make_calibration
from slitlapse.automation.exposure import ExposurePlan, default_widths, needed_rows
from slitlapse.automation.log import choose_frames, log_night, write_log
from slitlapse.automation.measure_all import measure_all
from slitlapse.automation.report import night_report
from slitlapse.automation.sky_correlations import sky_correlations
from slitlapse.automation.sky_model import plan_sky
from slitlapse.automation.stars import place_stars
from slitlapse.automation.store import fingerprint, one_run_at_a_time
from slitlapse.automation.verdict import judge_night
from slitlapse.automation.wavelength_check import check_wavelengths, tell_check, tell_unchecked
from slitlapse.automation.wavelengths import solve_night
from slitlapse.extraction import RowWindow

__all__ = ["NightResult", "reduce_night"]


@dataclass(frozen=True)
class NightResult:
    """
    What became of a night.

    Parameters
    ----------
    folder : `~pathlib.Path`
        Where everything was written.
    series : dict of str to `~slitlapse.automation.SpectralTimeSeries`
        Name of each star and its spectra; empty for a night without science frames.
    files : dict of str to `~pathlib.Path`
        The file of each star.
    notes : tuple of str
        What was missing or left out, and what is lost by it.
    report : `~pathlib.Path` or None
        The page to look at, where one was drawn.
    verdict : tuple of str
        What deserves attention, in plain words.
    """

    folder: Path
    series: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)
    notes: tuple = ()
    report: Path | None = None
    verdict: tuple = ()

    def summary(self, said=()):
        """
        Say in a few lines what was made and where it is.

        Parameters
        ----------
        said : collection of str
            Notes that the reader knows already, because they were said as warnings.

        Returns
        -------
        str
        """
        lines = [f"note: {note}" for note in self.notes if note not in said]
        if not self.series:
            lines.append(f"There are no science frames: only calibrations, in {self.folder}")
        for name, series in self.series.items():
            n_wave, n_time = series.shape
            lines.append(f"star {name}: {n_time} spectra of {n_wave} pixels in {self.files[name]}")
        lines += [f"verdict: {sentence}" for sentence in self.verdict]
        if self.report is not None:
            lines.append(f"report: {self.report}")
        return "\n".join(lines)


def reduce_night(night, *, jobs=1, executor=None, progress=False, report=True):
    """
    Reduce a night: raw frames to time-series spectra of its stars.

    Parameters
    ----------
    night : Night
        What `~slitlapse.automation.read_night` reads from ``night.toml``.
    jobs : int
        Processes that measure exposures at the same time. The result does not depend on it.
    executor : `~concurrent.futures.Executor`, optional
        Measures the exposures instead of own processes.
    progress : bool
        Whether to show a progress bar (never where the output is not a terminal).
    report : bool
        Whether to draw the report, which takes longer than a short night's exposures. There is
        a verdict in any case.

    Returns
    -------
    NightResult

    Raises
    ------
    ValueError
        In one sentence, where the night cannot be reduced as asked.
    """
    night.output.mkdir(parents=True, exist_ok=True)
    with one_run_at_a_time(night.output):
        return _reduce(night, executor or jobs, progress, report)


def _reduce(night, workers, progress, draw):
    """Tell the story of the night, question by question."""
    log = log_night(night)  # what data did we gather?
    chosen = choose_frames(log, night)
    calibration = make_calibration(night, chosen)  # photons, and how sensitive are the pixels?
    notes = [*chosen.notes, *calibration.notes]
    if not len(chosen["science"]):
        write_basis(log, calibration, night)
        report = night_report(night, log, chosen, calibration, [], {}, {}, notes) if draw else None
        return NightResult(night.output, notes=tuple(notes), report=report and report.path)

    placements = place_stars(night, chosen, calibration, notes)  # where is the light of stars?
    solutions, tilt = solve_night(night, chosen, calibration, placements, notes)
    plans = plan_all(night, placements, calibration, tilt, notes)
    write_basis(log, calibration, night)  # not before: a mistake above leaves old results alone
    products.write_traces(placements, solutions, night.output)
    key = fingerprint(products.decisions(night, plans))
    exposures = measure_all(night, chosen["science"], plans, key, workers, progress)
    notes += exposures.lost()
    correlations = sky_correlations(next(iter(plans.values())))
    plans = {name: plan.measured() for name, plan in plans.items()}
    series, files, checks = {}, {}, {}
    for name in placements[0].traces:
        series[name] = assemble_series(
            name, night, chosen, calibration, plans, exposures, solutions.get(name), notes,
            correlations.get(name),
        )  # fmt: skip
        files[name] = night.output / series_filename(name, series)
        if name in solutions:  # do the arc's wavelengths hold for the exposures?
            checks[name] = check_wavelengths(series[name], solutions[name])
            series[name].metadata["wavelength_check"] = tell_check(checks[name])
        series[name].write(files[name], overwrite=True)
    for each in series.values():
        notes += each.metadata.get("hits_in_time", [])
    notes += tell_unchecked(checks, solutions)
    result = NightResult(night.output, series, files, tuple(notes))
    if not draw:
        verdict = judge_night(series, solutions, arcs=len(chosen["arc"]), checks=checks)
        return replace(result, verdict=tuple(verdict))
    report = night_report(
        night, log, chosen, calibration, placements, solutions, series, notes, checks
    )
    return replace(result, report=report.path, verdict=tuple(report.verdict))


def write_basis(log, calibration, night):
    """Write the log and the calibration frames."""
    write_log(log, night.output / "log.ecsv")
    products.write_calibration(calibration, night.output)


def plan_all(night, placements, calibration, tilt, notes):
    """Plan the exposures of every placement of the stars, by file name."""
    plans = {}
    for placement in placements:
        plan = plan_exposures(night, placement, calibration, tilt, notes)
        plans |= dict.fromkeys(placement.filenames, plan)
    return plans


def plan_exposures(night, placement, calibration, tilt, notes):
    """Make once what is the same for all exposures of one placement of the stars."""
    door = calibration.door
    read_noise = door.read_noise(placement.filenames[0])
    widths = night.widths if night.widths is not None else default_widths(placement.traces)
    half_rows = needed_rows(placement.traces, widths)
    sky = plan_sky(night, placement, calibration, read_noise, tilt, half_rows, notes)
    for trace in placement.traces.values():
        sky.prepare(RowWindow.around(trace.trace, half_rows, read_noise.shape[0]))
    return ExposurePlan(
        door, placement.traces, sky, read_noise, tuple(widths), half_rows, calibration.beyond_slit
    )
