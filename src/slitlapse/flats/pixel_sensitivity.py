"""How sensitive is each pixel, compared with those around it?"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import uniform_filter

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

    def plot(self, ax=None, **kwargs):
        """Draw the sensitivity as an image; return the Axes."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        good = self.sensitivity[~self.mask]
        width = 4 * 1.4826 * np.median(np.abs(good - 1)) if good.size else 0.1
        style = {"vmin": 1 - width, "vmax": 1 + width, "origin": "lower", "aspect": "auto"}
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
    dust on the detector or dead columns.

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
    values, error, good = _check(flat)
    with np.errstate(divide="ignore", invalid="ignore"):
        counted = np.where(good, (values / error) ** 2, 0)  # electrons in all frames
    lit = np.ones(values.shape, bool) if illuminated is None else _as_mask(illuminated)
    if lit.shape != values.shape:
        raise ValueError(f"The lit region has shape {lit.shape}, but the flat {values.shape}.")
    use = good & lit & (values > 0)
    if illuminated is None:
        use &= counted > 0.5 * min_signal
    if use.sum() < 100:
        raise ValueError(
            f"Only {use.sum()} pixels of the flat are lit, good and above zero: is it a flat?"
        )
    along_slit = _slit_coordinate(illuminated, values.shape) if slit_profile else None
    lamp = _fit_light(values, error, use, along_slit, spacing, sigma_clip, max_iterations)
    with np.errstate(divide="ignore", invalid="ignore"):
        photons = (lamp / error) ** 2
        measured = good & lit & (lamp > 0) & (photons > min_signal)
        sensitivity = np.where(measured, values / lamp, 1.0)
        uncertainty = np.where(measured, error / lamp, 0.0)
    # a pixel that sees nothing cannot be divided by: it is for find_dead_pixels to name
    dead = sensitivity <= 5 * uncertainty
    measured &= ~dead
    sensitivity[dead], uncertainty[dead] = 1.0, 0.0
    return PixelSensitivity(sensitivity, uncertainty, ~measured, np.where(lit, lamp, np.nan))


def _check(flat):
    """Values, errors and which are good, of a flat in electron."""
    if flat.unit != u.electron:
        raise u.UnitTypeError(
            f"The flat must be in electron, but is in {flat.unit}: process its frames first."
        )
    if flat.uncertainty is None:
        raise ValueError("The flat has no uncertainty: combine frames that have one.")
    values = np.asarray(flat.data, float)
    good = np.isfinite(values) & np.isfinite(flat.uncertainty.array)
    if flat.mask is not None:
        good &= ~flat.mask
    return np.where(good, values, 0.0), np.where(good, flat.uncertainty.array, 1.0), good


def _as_mask(illuminated):
    return np.asarray(getattr(illuminated, "mask", illuminated), bool)


def _slit_coordinate(illuminated, shape):
    """Row number as it would be without slope and curve; a slit's own range for each slit."""
    rows = np.arange(shape[0], dtype=float)[:, None] * np.ones(shape)
    if not hasattr(illuminated, "slit_number"):
        return rows
    number = illuminated.slit_number
    for slit, (low, high) in enumerate(zip(illuminated.lower, illuminated.upper, strict=True)):
        shift = (low - low.mean() + high - high.mean()) / 2
        rows = np.where(number == slit, rows - shift + slit * 2 * shape[0], rows)
    return rows


def _fit_light(values, error, use, along_slit, spacing, sigma_clip, max_iterations):
    """Model of the light without the pixels, shape (n_y, n_x)."""
    rows, columns = np.flatnonzero(use.any(axis=1)), np.flatnonzero(use.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    part, used = values[box], use[box]
    across = _splines(part.shape[0], spacing[0])
    along = _splines(part.shape[1], spacing[1])
    # a pixel's own count must not decide its weight: low ones would pull the model down
    per_count = np.median((error[box] ** 2 / np.where(used, part, 1))[used])
    model = np.maximum(uniform_filter(np.where(used, part, 0), 15), 1e-6 * part[used].max())
    kept, scatter, profile = used, 0.0, 1.0
    for _ in range(max_iterations):
        model = np.maximum(model, 1e-6 * model.max())
        weight = np.where(kept, 1 / (per_count * model + (scatter * model) ** 2), 0)
        smooth = _solve(part / profile, weight * profile**2, across, along)
        if along_slit is not None:
            profile = _profile(along_slit[box], part, weight, smooth)
        model = smooth * profile
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(used & (model > 0), part / model - 1, np.nan)
            noise = np.sqrt(per_count / np.maximum(model, 1e-6 * model.max()))
        width = 1.4826 * np.nanmedian(np.abs(relative[kept]))
        scatter = np.sqrt(max(width**2 - np.nanmedian(noise[kept]) ** 2, 0))
        new = used & (np.abs(relative) < sigma_clip * np.hypot(noise, scatter))
        if (new == kept).all():
            break
        kept = new
    full = np.full(values.shape, np.nan)
    full[box] = model
    return full


def _profile(along_slit, values, weight, smooth):
    """Profile along the slit, at every pixel; its mean is 1."""
    start = np.floor(along_slit[weight > 0].min()) - 1
    n = int(np.ceil(along_slit[weight > 0].max()) - start) + 3
    fine = 8  # bins per pixel, so that a million pixels become a few thousand
    index = np.clip(np.round((along_slit - start) * fine).astype(int), 0, n * fine - 1).ravel()
    strength = (weight * smooth**2).ravel()
    total = np.bincount(index, strength, n * fine)
    some = np.flatnonzero(total > 0)
    ratio = np.bincount(index, (weight * smooth * values).ravel(), n * fine)[some] / total[some]
    where = (
        np.bincount(index, strength * (along_slit.ravel() - start), n * fine)[some] / total[some]
    )
    knots = np.arange(-4.0, n + 5.0)
    design = BSpline.design_matrix(where, knots, 3)
    normal = (design.T @ design.multiply(total[some][:, None])).toarray()
    right = design.T @ (total[some] * ratio)
    # coefficients that no pixel fixes are pulled to 1, weakly
    pull = 1e-6 * np.median(normal.diagonal()[normal.diagonal() > 0])
    normal[np.diag_indices_from(normal)] += pull
    spline = BSpline(knots, cho_solve(cho_factor(normal), right + pull), 3)
    found = spline(np.clip(along_slit - start, 0, n))
    mean = np.sum(found * weight) / np.sum(weight)
    return np.maximum(found / mean, 1e-3)


def _splines(n, spacing):
    """Cubic B-splines at n pixels, about ``spacing`` pixels between knots: (n, n_splines)."""
    n_parts = max(round(n / spacing), 1)
    inner = np.linspace(-0.5, n - 0.5, n_parts + 1)
    knots = np.concatenate([inner[:1].repeat(3), inner, inner[-1:].repeat(3)])
    return BSpline.design_matrix(np.arange(n, dtype=float), knots, 3).toarray()


def _solve(values, weight, across, along):
    """Weighted least squares in the tensor product of two sets of splines."""
    k_y, k_x = across.shape[1], along.shape[1]
    products_y = (across[:, :, None] * across[:, None, :]).reshape(len(across), -1)
    products_x = (along[:, :, None] * along[:, None, :]).reshape(len(along), -1)
    normal = (products_y.T @ weight @ products_x).reshape(k_y, k_y, k_x, k_x)
    normal = normal.transpose(0, 2, 1, 3).reshape(k_y * k_x, k_y * k_x)
    right = (across.T @ np.where(weight > 0, weight * values, 0) @ along).ravel()
    # splines without any pixel under them: a weak pull to zero keeps the matrix regular
    ridge = 1e-9 * np.trace(normal) / len(normal)
    normal[np.diag_indices_from(normal)] += ridge
    coefficients = cho_solve(cho_factor(normal), right).reshape(k_y, k_x)
    return across @ coefficients @ along.T


def _nanmedian(values, axis):
    """Median of the finite values, NaN where there is none, without a warning."""
    out = np.full(values.shape[1 - axis], np.nan)
    some = np.isfinite(values).any(axis=axis)
    out[some] = np.nanmedian(np.compress(some, values, axis=1 - axis), axis=axis)
    return out
