"""Lamps, along each star's own trace, to one wavelength solution per star."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from slitlapse.wavelength import LineTilt, WavelengthError, match_lamps

__all__ = ["ArcSet", "StarWavelengths", "combine_arcs", "group_arcs", "measure_tilt", "solve_star"]

MOST_BAD = 0.9  # of the pixels of an arc
SET_LENGTH = 30 * u.min  # arcs of different lamps within this time are one set


@dataclass(frozen=True)
class ArcSet:
    """
    Arcs that were taken together.

    Parameters
    ----------
    images : dict of str to `~astropy.nddata.CCDData`
        Lamps (joined by "+") and the mean of their arcs, in electron.
    factors : dict of str to float
        Arc pixels per science pixel along the dispersion; 1 where the binning is the same.
    time : `~astropy.time.Time` or None
        Mean of the arcs' times, where any is known.
    filenames : tuple of str
    """

    images: dict
    factors: dict
    time: object
    filenames: tuple


@dataclass(frozen=True)
class StarWavelengths:
    """
    Wavelengths of one star.

    Parameters
    ----------
    solutions : list of `~slitlapse.wavelength.WavelengthSolution`
        One per set of arcs, in order of time.
    times : list of `~astropy.time.Time`
    choice : str
        ``"nearest"``, ``"interpolate"`` or ``"together"``.
    """

    solutions: list
    times: list
    choice: str

    @property
    def main(self):
        """The solution of the series as a whole: that of the middle set of arcs."""
        return self.solutions[len(self.solutions) // 2]

    def wavelength_at(self, time):
        """
        Wavelength of every pixel at a time, `~astropy.units.Quantity`, shape (n_x,).

        Parameters
        ----------
        time : `~astropy.time.Time`
        """
        if len(self.solutions) == 1:
            return self.solutions[0].wavelength
        since = np.array([(each - time).to_value(u.s) for each in self.times])
        if self.choice != "interpolate" or since.min() > 0 or since.max() < 0:
            return self.solutions[int(np.argmin(np.abs(since)))].wavelength
        after = int(np.argmax(since >= 0))
        if after == 0:
            return self.solutions[0].wavelength
        share = -since[after - 1] / (since[after] - since[after - 1])
        before, later = (self.solutions[i].wavelength for i in (after - 1, after))
        return (1 - share) * before + share * later


def group_arcs(table, choice):
    """
    Group arcs into sets: different lamps within 30 minutes belong together.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Rows of the log, in order of time.
    choice : str
        With ``"together"`` all arcs are one set.

    Returns
    -------
    list of `~astropy.table.QTable`
    """
    groups, known = [], known_times(table)
    if not known.any():
        return [table] if len(table) else []
    for index in range(len(table)):
        last = groups[-1] if groups else None
        near = False
        if last is not None and known[index] and known[last[0]]:
            near = abs(table["time"][index] - table["time"][last[0]]).unmasked < SET_LENGTH
        if last is not None and (choice == "together" or near):
            last.append(index)
        else:
            groups.append([index])
    return [table[group] for group in groups]


def known_times(table):
    """Whether the time of each row is known, shape (n_rows,)."""
    return ~np.broadcast_to(table["time"].mask, len(table))


def combine_arcs(rows, door, shape, notes):
    """
    Add up the arcs of one set, lamp by lamp.

    Parameters
    ----------
    rows : `~astropy.table.QTable`
        The arcs of the set.
    door : FrameDoor
    shape : tuple of int
        (n_y, n_x) of the turned science frames.
    notes : list of str
        Gets a sentence for each arc without a lamp.

    Returns
    -------
    ArcSet
    """
    stacks = {}
    for row in rows:
        if not row["lamps"]:
            notes.append(
                f"{row['filename']} (arc) is left out: nothing says which lamp it shows; name it "
                "in [lamps]"
            )
            continue
        frame = door.electrons(row["filename"], "arc", row["exposure_time"])
        if np.mean(frame.mask) > MOST_BAD:
            notes.append(
                f"{row['filename']} (arc) is left out: {100 * np.mean(frame.mask):.0f} % of its "
                "pixels are saturated or bad"
            )
            continue
        stacks.setdefault(str(row["lamps"]), []).append(frame)
    images, factors = {}, {}
    for lamps, frames in stacks.items():
        data = np.mean([frame.data for frame in frames], axis=0)
        variance = np.mean([frame.uncertainty.array**2 for frame in frames], axis=0) / len(frames)
        mask = np.logical_or.reduce([frame.mask for frame in frames])
        images[lamps] = CCDData(data, unit=u.electron, mask=mask, meta={"sigma": np.sqrt(variance)})
        factors[lamps] = data.shape[1] / shape[1]
    known = known_times(rows)
    time = rows["time"][known].unmasked.mean() if known.any() else None
    return ArcSet(images, factors, time, tuple(map(str, rows["filename"])))


def extract_arc(image, centre, half_rows):
    """
    Average the lamp light along a star's trace.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`, shape (n_y, n_x)
    centre : array, shape (n_x,)
        Rows of the star.
    half_rows : float
        Rows on each side.

    Returns
    -------
    spectrum, uncertainty : array, shape (n_x,)
        Electron per row; NaN where all rows are bad.
    """
    rows = np.arange(image.data.shape[0])[:, None]
    weights = np.clip(half_rows + 0.5 - np.abs(rows - centre), 0, 1)
    weights = np.where(image.mask | ~np.isfinite(image.data), 0, weights)
    total = weights.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spectrum = (weights * np.nan_to_num(image.data)).sum(axis=0) / total
        sigma = np.sqrt((weights**2 * np.nan_to_num(image.meta["sigma"]) ** 2).sum(axis=0)) / total
    # a line that is saturated in some rows would be made of the others only: not a line then
    poor = total < 0.7 * total.max()
    return np.where(poor, np.nan, spectrum), np.where(poor, np.nan, sigma)


def solve_star(arc_set, trace, night, guess=None):
    """
    Match the lamps of one set along one star's trace.

    Parameters
    ----------
    arc_set : ArcSet
    trace : `~slitlapse.trace.ProfileTrace`
    night : Night
    guess : `~slitlapse.wavelength.WavelengthSolution`, optional
        Of a star beside, or of an earlier arc.

    Returns
    -------
    `~slitlapse.wavelength.WavelengthSolution`
        For the pixels of the science frames.

    Raises
    ------
    WavelengthError
        Where no solution can be believed.
    """
    arcs, factor = [], 1.0
    centre = np.asarray(trace.trace, float)
    for lamps, image in arc_set.images.items():
        factor = arc_set.factors[lamps]
        x = (np.arange(image.data.shape[1]) + 0.5) / factor - 0.5
        along = np.interp(x, np.arange(len(centre)), centre)
        spectrum, sigma = extract_arc(image, along, max(float(np.median(trace.fwhm)), 2.0))
        arcs.append((lamps, spectrum, sigma))
    instrument = night.instrument
    rough = instrument.wavelength_range
    options = {"degree": night.degree, "medium": instrument.medium, "increasing": True}
    if rough is not None:
        options["wavelength_range"] = tuple(rough.to_value(u.AA))
    if guess is not None and factor == 1:
        try:
            return match_lamps(arcs, guess=guess, **options)
        except WavelengthError:
            pass  # a neighbour's solution may be too far away: from the lamp names then
    solution = match_lamps(arcs, **options)
    return solution if factor == 1 else solution.scaled(factor)


def measure_tilt(arc_set, notes):
    """
    Measure how the lines are tilted and curved along the slit.

    Parameters
    ----------
    arc_set : ArcSet
    notes : list of str
        Gets a sentence where that is impossible.

    Returns
    -------
    `~slitlapse.wavelength.LineTilt` or None
    """
    lamps, image = max(
        arc_set.images.items(), key=lambda item: np.nanpercentile(item[1].data, 99.5)
    )
    data, mask = image.data, image.mask
    factor = arc_set.factors[lamps]
    if factor != 1:
        if factor != int(factor):
            notes.append(
                "The arcs have fewer pixels along the dispersion than the science frames: the "
                "tilt of the lines is not measured"
            )
            return None
        # what the detector would have added up itself, had it been told to: exact
        n_x = data.shape[1] // int(factor) * int(factor)
        groups = (data.shape[0], -1, int(factor))
        data = data[:, :n_x].reshape(groups).sum(axis=2)
        mask = mask[:, :n_x].reshape(groups).any(axis=2)
    try:
        return LineTilt.measure(data, mask=mask)
    except ValueError as error:
        notes.append(f"The tilt of the lines could not be measured: {error}")
        return None


def solve_night(night, chosen, calibration, placements, notes):
    """
    Solve the wavelengths of all stars of a night.

    Parameters
    ----------
    night : Night
    chosen : ChosenFrames
    calibration : Calibration
    placements : list of Placement
    notes : list of str
        Gets a sentence about everything that is lost.

    Returns
    -------
    solutions : dict of str to StarWavelengths
        Without the stars whose lamps could not be matched.
    tilt : array, shape (n_y, n_x), or None
        Effective dispersion coordinate of every pixel.
    """
    shape = placements[0].image.data.shape
    sets = []
    for rows in group_arcs(chosen["arc"], night.arcs):
        arc_set = combine_arcs(rows, calibration.door, shape, notes)
        if arc_set.images:
            sets.append(arc_set)
    sets = _timed_sets(sets, notes)
    if night.arcs == "nearest":
        sets = _nearest_sets(sets, chosen["science"]["time"])
    if not sets:
        notes.append("There is no arc: wavelengths are not known, the spectra count pixels")
        return {}, None
    tilt = measure_tilt(sets[len(sets) // 2], notes)
    solutions, guess = {}, None
    for name, trace in placements[0].traces.items():
        found = []
        for arc_set in sets:
            try:
                found.append((solve_star(arc_set, trace, night, guess), arc_set.time))
            except WavelengthError as error:
                files = ", ".join(arc_set.filenames)
                notes.append(f"The arc {files} gives no wavelengths for star {name}: {error}")
        if found:
            solutions[name] = StarWavelengths(*map(list, zip(*found, strict=True)), night.arcs)
            guess = guess if guess is not None else found[0][0]
    return solutions, None if tilt is None else tilt.effective_pixel


def _timed_sets(sets, notes):
    """Leave out sets of arcs without a time, where there are several to choose from."""
    if len(sets) < 2:
        return sets
    for each in sets:
        if each.time is None:
            notes.append(
                f"{', '.join(each.filenames)} (arc) is left out: no header card tells its time"
            )
    return [each for each in sets if each.time is not None]


def _nearest_sets(sets, times):
    """Keep the sets of arcs that are the nearest in time to some exposure."""
    if len(sets) < 2:
        return sets
    away = np.abs([[(each.time - time).to_value(u.s) for time in times] for each in sets])
    used = set(np.argmin(away, axis=0))
    return [each for index, each in enumerate(sets) if index in used]
