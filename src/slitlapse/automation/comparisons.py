"""Which comparison stars can be trusted, and which aperture is the best?"""

from dataclasses import dataclass

import numpy as np
from astropy.table import QTable

from slitlapse.automation.light_curves import light_curves
from slitlapse.automation.scatter import FEWEST_WITH_TRANSIT, residuals_of

__all__ = ["ApertureChoice", "ComparisonCheck", "check_comparisons", "choose_aperture"]

LOUD = 2.0  # times the quoted noise
SIGNIFICANT = 5.0  # standard errors of a scatter
LEAST = 0.002  # of the light; smaller changes are those of the air more often than of a star
FEWEST = 8  # exposures of which a scatter is worth judging


@dataclass(frozen=True, eq=False)
class ComparisonCheck:
    """
    Every comparison star against all others.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        A row per star: ``star``, ``scatter`` of its ratio to all others, ``expected`` noise,
        ``excess`` (their ratio) and ``variable``.
    variable : tuple of str
        Names of the stars that vary by themselves.
    """

    table: QTable
    variable: tuple = ()

    def quiet(self, comparisons):
        """Those of the series whose star does not vary."""
        return [star for star in comparisons if star.name not in self.variable]


def check_comparisons(comparisons, target=None):
    """
    Divide every comparison star by the sum of all others, and find those that vary.

    The loudest star is set aside and the rest is looked at again, until it is quiet. Of the
    last two, the target tells which one it is: that with which the target scatters more.

    Parameters
    ----------
    comparisons : sequence of SpectralTimeSeries
    target : SpectralTimeSeries, optional
        Asked about the last two only, in 16 exposures or more; its transit is fitted and does
        not count.

    Returns
    -------
    ComparisonCheck
        Without a verdict on less than 2 stars, or fewer than 8 exposures.
    """
    left, aside, loud = list(comparisons), [], {}
    first = [_against(star, left) for star in left] if len(left) > 1 else []
    while len(left) > 1 and left[0].shape[1] >= FEWEST:
        each = [_against(star, left) for star in left]
        worst = int(np.argmax([found.excess[0] for found in each]))
        if not _is_loud(each[worst]):
            break
        if len(left) == 2:
            if target is None or target.shape[1] < FEWEST_WITH_TRANSIT:
                break  # nobody can tell which of the two
            worst = int(np.argmax([_with(target, star).excess[0] for star in left]))
        aside.append(left.pop(worst))
        loud[aside[-1].name] = True
    table = QTable()
    table["star"] = [star.name for star in comparisons]
    if first:
        table["scatter"] = [_scatter(found) for found in first]
        table["expected"] = [np.sqrt(np.nanmean(found.errors**2)) for found in first]
        table["excess"] = [found.excess[0] for found in first]
    table["variable"] = [star.name in loud for star in comparisons]
    return ComparisonCheck(table, tuple(star.name for star in comparisons if star.name in loud))


def _against(star, stars):
    """What a trend leaves of a star over the sum of the others."""
    return residuals_of(light_curves(star, [other for other in stars if other is not star]))


def _with(target, star):
    return residuals_of(light_curves(target, [star]), transit=True)


def _scatter(found):
    return float(np.sqrt(np.nansum(found.values[0] ** 2) / max(found.n_free[0], 1)))


def _is_loud(found):
    """Whether a scatter is beyond its noise: clearly, certainly and by enough to matter."""
    excess = found.excess[0]
    added = np.sqrt(max(excess**2 - 1, 0)) * np.sqrt(np.nanmean(found.errors**2))
    certain = excess - 1 > SIGNIFICANT * found.excess_uncertainty[0]
    return bool(excess > LOUD and certain and added > LEAST)


@dataclass(frozen=True, eq=False)
class ApertureChoice:
    """
    The aperture with the least scatter, and how all did.

    Parameters
    ----------
    name : str
        For `SpectralTimeSeries.with_flux`; empty for the headline flux.
    table : `~astropy.table.QTable`
        ``aperture`` and ``scatter``, the root mean square over bins, a row per aperture.
    basis : str
        What it was judged on, in words.
    """

    name: str
    table: QTable
    basis: str


def choose_aperture(target, comparisons, *, out_of_transit=None, wavelength=None, names=None):
    """
    Choose the aperture without looking at the transit.

    A choice made on all of the target's light prefers the aperture that makes its transit look
    smooth or shallow. Two comparison stars or more are judged by their own ratios; with fewer,
    only those exposures of the target are used that are said to be out of transit.

    Parameters
    ----------
    target : SpectralTimeSeries
    comparisons : sequence of SpectralTimeSeries
    out_of_transit : array of bool, shape (n_time,), optional
        Exposures out of transit; needed with fewer than two comparison stars.
    wavelength : `~astropy.units.Quantity`, optional
        Bins, as in `~slitlapse.automation.light_curves`.
    names : sequence of str, optional
        Of the fluxes to choose from; by default all that every star has.

    Returns
    -------
    ApertureChoice

    Raises
    ------
    ValueError
        Where neither comparison stars nor out-of-transit exposures are there to choose on.
    """
    comparisons = list(comparisons)
    use = np.ones(target.shape[1], bool)
    if len(comparisons) >= 2:
        stars, basis = comparisons, "ratios of the comparison stars"
    elif out_of_transit is not None:
        use = np.asarray(out_of_transit, bool)
        stars, basis = [target, *comparisons], f"{use.sum()} exposures out of transit"
    else:
        raise ValueError(
            f"{len(comparisons)} comparison star(s) and no word about the transit: give "
            "out_of_transit, so that the aperture is not chosen on the transit itself"
        )
    if use.sum() < FEWEST:
        raise ValueError(f"{use.sum()} exposures are too few to choose on; give {FEWEST} or more")
    if names is None:
        names = [n for n in stars[0].other_fluxes if all(n in s.other_fluxes for s in stars)]
    scatter = [_typical_scatter(stars, name, use, wavelength) for name in names]
    table = QTable({"aperture": list(names), "scatter": scatter})
    return ApertureChoice(names[int(np.argmin(scatter))], table, basis)


def _typical_scatter(stars, name, use, wavelength):
    """Root mean square scatter of all bins of all ratios, for one aperture."""
    taken = [star.with_flux(name)[:, use] for star in stars]
    pairs = [(star, [other for other in taken if other is not star]) for star in taken]
    pairs = pairs[:1] if len(taken) == 2 else pairs  # A over B scatters as B over A
    squares = []
    for star, others in pairs:
        found = residuals_of(light_curves(star, others, wavelength=wavelength), degree=1)
        squares.append(np.nansum(found.values**2, axis=1) / np.maximum(found.n_free, 1))
    return float(np.sqrt(np.mean(squares)))
