"""How do other tools of the astropy family read a series? As spectra of specutils."""

import numpy as np
from astropy.nddata import StdDevUncertainty
from specutils import Spectrum, SpectrumCollection

__all__ = ["to_collection", "to_spectrum"]


def to_spectrum(series):
    """
    Give a series as one spectrum of many rows.

    Parameters
    ----------
    series : SpectralTimeSeries

    Returns
    -------
    `~specutils.Spectrum`
        ``flux`` of shape (n_time, n_wave): specutils has the wavelength last. Where the series'
        wavelengths fall, they are turned to rise. ``meta`` holds ``time``, the other columns of
        ``timelike`` and the series' own metadata.
    """
    order = _rising(series.wavelength)
    return Spectrum(
        flux=series.flux[order].T,
        spectral_axis=series.wavelength[order],
        uncertainty=StdDevUncertainty(series.uncertainty[order].T),
        mask=series.mask[order].T,
        meta=_meta(series),
    )


def to_collection(series):
    """
    Give a series as a collection in which every exposure has its own wavelengths.

    Parameters
    ----------
    series : SpectralTimeSeries

    Returns
    -------
    `~specutils.SpectrumCollection`
        ``flux`` and ``spectral_axis`` of shape (n_time, n_wave); the wavelengths are those of
        ``wavelength_2d``, moved by the shift of each exposure. Nothing is resampled.
    """
    order = _rising(series.wavelength)
    return SpectrumCollection(
        flux=series.flux[order].T,
        spectral_axis=series.wavelength_2d[order].T,
        uncertainty=StdDevUncertainty(series.uncertainty[order].T),
        mask=series.mask[order].T,
        meta=_meta(series),
    )


def _rising(wavelength):
    return np.s_[::-1] if wavelength[-1] < wavelength[0] else np.s_[:]


def _meta(series):
    columns = {name: series.timelike[name] for name in series.timelike.colnames}
    return series.metadata | columns
