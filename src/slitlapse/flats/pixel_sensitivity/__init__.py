"""How sensitive is each pixel, compared with those around it?"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from .smooth_light import SlitProfile, fit_smooth_light

__all__ = ["PixelSensitivity", "fit_pixel_sensitivity"]


@dataclass(frozen=True)
class PixelSensitivity:
    """
    What each pixel makes of the light it gets: flat = lamp x sensitivity.

    Parameters
    ----------
    sensitivity : float `~numpy.ndarray`, shape (n_y, n_x)
        Relative to the surroundings, about 1; exactly 1 where it was not measured.
    uncertainty : float `~numpy.ndarray`, shape (n_y, n_x)
        Its standard error; 0 where it was not measured.
    mask : bool `~numpy.ndarray`, shape (n_y, n_x)
        True where it was not measured (unlit, too little light, saturated, bad). No reason to
        mask a star there.
    lamp : float `~numpy.ndarray`, shape (n_y, n_x)
        The smooth light of lamp and slit, in electron; NaN where not modelled.

    Examples
    --------
    >>> import numpy as np
    >>> from slitlapse.flats import PixelSensitivity
    >>> ones = np.ones((2, 3))
    >>> flat = PixelSensitivity(0.98 * ones, 0.01 * ones, ones == 0, lamp=1e4 * ones)
    >>> float(flat.correct(ones)[0, 0].round(4))
    1.0204
    """

    sensitivity: np.ndarray
    uncertainty: np.ndarray
    mask: np.ndarray
    lamp: np.ndarray | None = None

    @property
    def lamp_spectrum(self):
        """The lamp along the dispersion: median of ``lamp`` over the slit, shape (n_x,)."""
        return _nanmedian(self.lamp, axis=0)

    @property
    def illumination(self):
        """
        The slit's illumination: ``lamp`` over ``lamp_spectrum``, shape (n_y, n_x); NaN unlit.

        Divide a sky, not a star, by it to make it even along the slit.
        """
        return self.lamp / self.lamp_spectrum

    def correct(self, image):
        """Divide an array by the sensitivity."""
        return image / self.sensitivity

    def simulate(self, *, rng, lamp=None):
        """Draw a flat, in electron: Poisson of ``lamp`` (default: its own) x sensitivity."""
        lamp = self.lamp if lamp is None else lamp
        return rng.poisson(np.nan_to_num(np.maximum(lamp, 0)) * self.sensitivity) * u.electron

    @property
    def usual_range(self):
        """Four standard deviations of good pixels to either side of 1: the scale of pictures."""
        good = self.sensitivity[~self.mask]
        width = 4 * 1.4826 * np.median(np.abs(good - 1)) if good.size else 0.1
        return 1 - width, 1 + width

    def plot(self, ax=None, **kwargs):
        """Draw the sensitivity as an image; return the Axes."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        low, high = self.usual_range
        style = {"vmin": low, "vmax": high, "origin": "lower", "aspect": "auto"}
        shown = ax.imshow(np.where(self.mask, np.nan, self.sensitivity), **{**style, **kwargs})
        ax.figure.colorbar(shown, ax=ax, label="sensitivity")
        ax.set(xlabel="x (pixel)", ylabel="y (pixel)")
        return ax


def fit_pixel_sensitivity(
    flat,
    illuminated=None,
    *,
    min_signal=1000.0,
    spacing=(40, 32),
    slit_profile=True,
    sigma_clip=5.0,
    max_iterations=6,
):
    """
    Divide a combined flat by a smooth model of the light; what is left is the sensitivity.

    The model is the product of two parts, fitted in turn. A tensor product of cubic B-splines
    holds what is smooth: the lamp's spectrum and how the light falls off. A profile along the
    slit, the same at all wavelengths but moved with the edges of the slit, holds the slit's own
    blemishes and the blur of its edges. Both are least-squares fits weighted by the noise that
    they predict themselves, with pixels that stand out left out. Neither can follow pixels,
    dust on the detector or dead columns. Fringes stay in the sensitivity where their period is
    shorter than the spacing of the knots. Within one knot of the detector's ends, where no whole
    period is seen, a part of a fringe is taken for the lamp's: of fringes of 5 %, 2 % in the last
    column.

    Parameters
    ----------
    flat : `~astropy.nddata.CCDData`, shape (n_y, n_x)
        Combined flat in electron, dispersion along axis 1, with its uncertainty. Its scale is
        free (a mean of several frames); ``mask`` is honoured.
    illuminated : IlluminatedRegion or bool array, shape (n_y, n_x), optional
        Where the slit is lit; default: everywhere above half of ``min_signal``. Only an
        `IlluminatedRegion` knows how edges move; else the profile is along detector rows.
    min_signal : float
        Where the model has fewer electrons, counted over all frames that were combined (by
        their signal-to-noise), the sensitivity is 1 and masked.
    spacing : tuple of float
        Pixels between knots of the splines along the slit and along the dispersion.
    slit_profile : bool
        Whether to fit the profile along the slit. Without it, and without slope or curve also
        with it, the mean response of single detector rows is not lost.
    sigma_clip : float
        Pixels farther from the model than this many standard deviations (robust, including the
        sensitivity's own scatter) are not used for the model.
    max_iterations : int
        Of the fit.

    Returns
    -------
    PixelSensitivity

    Raises
    ------
    ~astropy.units.UnitTypeError
        If the flat is not in electron.
    ValueError
        If it has no uncertainty, another shape than ``illuminated``, or no light.
    """
    values, error, use = _check(flat)
    lit = np.ones(values.shape, bool) if illuminated is None else _as_mask(illuminated)
    if lit.shape != values.shape:
        raise ValueError(f"The lit region has shape {lit.shape}, but the flat {values.shape}.")
    use &= lit
    seen = use & (values > 0)
    if illuminated is None:
        # electrons in all frames together are the square of the signal-to-noise
        seen &= values > np.sqrt(0.5 * min_signal) * error
    if seen.sum() < 100:
        raise ValueError(
            f"Only {seen.sum()} pixels of the flat are lit, good and above zero: is it a flat?"
        )
    profile = _slit_profile(illuminated, lit) if slit_profile else None
    lamp = _fit_box(values, error, seen, profile, spacing, sigma_clip, max_iterations)
    del seen, profile
    lamp[~lit] = np.nan
    return _divide(values, error, lamp, use, min_signal)


def _divide(values, error, lamp, use, min_signal):
    """Flat over light, where there is enough of it and the pixel is not dead."""
    with np.errstate(divide="ignore", invalid="ignore"):
        uncertainty = error / lamp
        use &= (lamp > 0) & (uncertainty < 1 / np.sqrt(min_signal))
        sensitivity = values / lamp
        # a pixel that sees nothing cannot be divided by: it is for find_dead_pixels to name
        use &= sensitivity > 5 * uncertainty
    mask = ~use
    sensitivity[mask], uncertainty[mask] = 1, 0
    return PixelSensitivity(sensitivity, uncertainty, mask, lamp)


def _check(flat):
    """Values, errors and which are good, of a flat in electron."""
    if flat.unit != u.electron:
        raise u.UnitTypeError(
            f"The flat must be in electron, but is in {flat.unit}: process its frames first."
        )
    if flat.uncertainty is None:
        raise ValueError("The flat has no uncertainty: combine frames that have one.")
    # single precision is a hundred times finer than the photon noise of any flat
    values = np.asarray(flat.data, np.float32)
    error = np.asarray(flat.uncertainty.array, np.float32)
    good = np.isfinite(values) & np.isfinite(error) & (error > 0)
    if flat.mask is not None:
        good &= ~flat.mask
    return values, error, good


def _as_mask(illuminated):
    return np.asarray(getattr(illuminated, "mask", illuminated), bool)


def _slit_profile(illuminated, lit):
    """Profile along each slit, following its edges; along rows where they are not known."""
    if not hasattr(illuminated, "slit_number"):
        return SlitProfile(np.zeros((1, lit.shape[1])), np.where(lit, 0, -1).astype(np.int8))
    low, high = illuminated.lower, illuminated.upper
    middle = (low + high) / 2
    return SlitProfile(middle - middle.mean(axis=1, keepdims=True), illuminated.slit_number)


def _fit_box(values, error, use, profile, spacing, sigma_clip, max_iterations):
    """Light where anything is lit, shape (n_y, n_x), NaN beyond."""
    rows, columns = np.flatnonzero(use.any(axis=1)), np.flatnonzero(use.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    light = np.full(values.shape, np.nan, np.float32)
    light[box] = fit_smooth_light(
        values[box],
        error[box],
        use[box],
        profile=None if profile is None else profile.cut(*box),
        spacing=spacing,
        sigma_clip=sigma_clip,
        max_iterations=max_iterations,
    )
    return light


def _nanmedian(values, axis):
    """Median of the finite values, NaN where there is none, without a warning."""
    out = np.full(values.shape[1 - axis], np.nan)
    some = np.isfinite(values).any(axis=axis)
    out[some] = np.nanmedian(np.compress(some, values, axis=1 - axis), axis=axis)
    return out
