"""How does other software learn our wavelengths? As gwcs, as a FITS table axis, as specreduce's."""

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.modeling import models
from specreduce.wavesol1d import WavelengthSolution1D

__all__ = ["to_fits_wcs", "to_gwcs", "to_header", "to_specreduce"]

FITS_CODE = {"air": "AWAV", "vacuum": "WAVE"}


def to_specreduce(solution):
    """
    Express a solution as specreduce's own object.

    Parameters
    ----------
    solution : `~slitlapse.wavelength.WavelengthSolution`
        Or anything with ``n_pixels``, ``degree`` and ``pixel_to_wavelength``.

    Returns
    -------
    solution : `~specreduce.wavesol1d.WavelengthSolution1D`
        Its polynomial equals the solution to 1e-6 angstrom (the air or vacuum conversion is not a
        polynomial: where one is involved, two more degrees describe it). Do not resample with
        specreduce 1.9.0: its ``resample`` does not conserve flux.
    """
    x = np.arange(solution.n_pixels, dtype=float)
    middle = 0.5 * (solution.n_pixels - 1)
    exact = solution.medium == getattr(solution, "fitted_medium", solution.medium)
    wave = solution.pixel_to_wavelength(x).to_value(u.AA)
    degree = solution.degree + (0 if exact else 2)
    series = np.polynomial.Polynomial.fit(x - middle, wave, degree).convert()
    terms = {f"c{i}": value for i, value in enumerate(series.coef)}
    p2w = models.Shift(-middle) | models.Polynomial1D(degree, **terms)
    return WavelengthSolution1D(p2w, (0, solution.n_pixels - 1), u.AA)


def to_gwcs(solution):
    """Express a solution as a `~gwcs.wcs.WCS`, from pixel to wavelength (see `to_specreduce`)."""
    return to_specreduce(solution).gwcs


def to_fits_wcs(solution, *, extname="WCS-TAB"):
    """
    Express a solution as a FITS table axis (``-TAB``; Greisen et al. 2006, A&A 446, 747).

    Parameters
    ----------
    solution : `~slitlapse.wavelength.WavelengthSolution`
    extname : str
        Name of the extension that holds the wavelength of every pixel.

    Returns
    -------
    header : `~astropy.io.fits.Header`
        Cards for the header of the spectrum, whose axis 1 is the dispersion.
    table : `~astropy.io.fits.BinTableHDU`
        To go into the same file.

    Examples
    --------
    >>> from slitlapse.wavelength import WavelengthSolution
    >>> solution = WavelengthSolution([5000.0, 1000.0, 20.0], (0, 1000), 1001, medium="vacuum")
    >>> header, table = to_fits_wcs(solution)
    >>> header["CTYPE1"]
    'WAVE-TAB'
    """
    wave = solution.wavelength.to_value(u.m)
    n = len(wave)
    table = fits.BinTableHDU.from_columns(
        [fits.Column("wavelength", format=f"{n}D", dim=f"(1,{n})", array=wave[None], unit="m")],
        name=extname,
    )
    header = fits.Header()
    header["WCSAXES"] = 1
    header["CTYPE1"] = f"{FITS_CODE[solution.medium]}-TAB"
    header["CUNIT1"] = "m"
    header["CRPIX1"] = 1.0
    header["CRVAL1"] = 1.0
    header["CDELT1"] = 1.0
    header["PS1_0"] = extname
    header["PS1_1"] = "wavelength"
    header["PV1_1"] = 1
    header["PV1_2"] = 1
    header["PV1_3"] = 1
    return header, table


def to_header(solution):
    """
    FITS cards: a linear axis through the middle pixel, and the exact polynomial as WSOL cards.

    For software that wants the exact relation as a standard FITS axis see `to_fits_wcs`.
    """
    middle = 0.5 * (solution.n_pixels - 1)
    header = fits.Header()
    medium = solution.medium
    header["CTYPE1"] = (FITS_CODE[medium], f"wavelength in {medium}, linear part")
    header["CUNIT1"] = "Angstrom"
    header["CRPIX1"] = middle + 1
    header["CRVAL1"] = float(solution.pixel_to_wavelength(middle).value)
    header["CDELT1"] = float(solution.dispersion(middle).value)
    header["WSOLTYPE"] = (solution.basis, "polynomial of the exact solution")
    header["WSOLMED"] = (solution.fitted_medium, "what its coefficients are in")
    header["WSOLMIN"] = (solution.domain[0], "0-indexed pixel at -1")
    header["WSOLMAX"] = (solution.domain[1], "0-indexed pixel at +1")
    for i, value in enumerate(solution.coefficients):
        header[f"WSOLC{i}"] = (float(value), "Angstrom")
    return header
