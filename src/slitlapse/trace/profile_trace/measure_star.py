"""How do centres, widths and smooth curves settle on one star?"""

from collections import namedtuple
from dataclasses import dataclass, replace

import numpy as np
from astropy import units as u
from astropy.table import QTable

__all__ = ["Found", "Model", "StarLostError", "measure_star", "tabulate_bins"]

Found = namedtuple("Found", "model center width wings floor table")
FLOOR = 0.02, 0.03  # widths, log widths: what a smooth curve cannot follow is no outlier
SEEN = 5.0  # sigma: the light of a star
NEAR, SETTLED = 0.05, 0.003  # widths: the last move of curves that are good to its square
MOST_ROUNDS = 14


class StarLostError(ValueError):
    """Too few bins see the star."""


@dataclass(frozen=True)
class Model:
    """
    What is believed of a star: where it lies, how wide it is, its shape and its neighbours.

    Parameters
    ----------
    center, width : `~numpy.ndarray`, shape (n_x,)
        Pixels.
    shape : `~numpy.ndarray`, shape (n_x,), or None
        1 / beta of a Moffat profile.
    distances : `~numpy.ndarray`, shape (n_neighbours,)
        From this star to its neighbours, pixels.
    """

    center: np.ndarray
    width: np.ndarray
    shape: np.ndarray | None
    distances: np.ndarray

    @property
    def beta(self):
        """Exponent of the Moffat profile: one number where it is the same everywhere."""
        if self.shape is None:
            return None
        beta = 1 / self.shape
        return float(beta[0]) if np.ptp(beta) < 1e-9 * beta[0] else beta


def measure_star(model, compare, draw_curve, bins, fit_shape, models=(None, None, None)):
    """
    Alternate between comparing pixels with the model and drawing smooth curves.

    First on some columns until the curves have settled, then twice on all.

    Parameters
    ----------
    model : Model
        Where to start: good to about the width of the star.
    compare : callable
        ``compare(model, columns, n_bins)`` returns the bins (with ``x``, ``empty``,
        ``common_steps``, ``last_by_bin``, ``local_steps``) and a dict of what each column says.
    draw_curve : callable
        ``draw_curve(x, y, error, at, model, level_ends=, caution=, floor=)`` returns a curve with
        ``value``, ``sigma`` and ``keep``.
    bins : int
        Number of bins of the result.
    fit_shape : bool
        Whether the last common step is that of the shape.
    models : tuple
        What ``draw_curve`` is given for centre, log width and shape.

    Returns
    -------
    Found

    Raises
    ------
    StarLostError
        Where fewer than 3 bins say where the star is, or there is no light along the path.
    """
    n_x = model.center.size
    every = np.arange(n_x)
    stride = max(n_x // 512, 1)
    rough = min(bins, max(n_x // stride // 16, 1), 64)
    for _ in range(MOST_ROUNDS):
        try:
            new, *_ = _one_round(
                model, compare, draw_curve, every[::stride], rough, fit_shape, models
            )
        except StarLostError:
            if rough < 8:
                raise
            rough //= 4  # faint: on these few columns only long bins see it
            continue
        moved, model = _movement(model, new), new
        if moved < NEAR:
            break
    for _ in range(3):
        new, curves, found, part = _one_round(
            model, compare, draw_curve, every, bins, fit_shape, models, last=True
        )
        moved, model = _movement(model, new), new
        if moved < SETTLED:
            break
    _check_light(part)
    table = tabulate_bins(*found, part, n_x)
    table.meta["center_known"], table.meta["width_known"] = (c.reach for c in curves[:2])
    return Found(model, *curves, part["floor"], table)


def _check_light(part):
    """Refuse a path along which there is no light."""
    known = part["solvable"] & (part["flux_variance"] > 0)
    weight = known / np.where(known, part["flux_variance"], 1.0)
    total, noise = (weight * part["flux"]).sum(), np.sqrt(weight.sum())
    if not total > SEEN * noise:
        raise StarLostError(
            f"What lies along this path has {total / max(noise, 1e-300):.1f} times its noise, and "
            f"{SEEN:g} are needed to be a star. Check the guess, or look for stars with "
            "find_stars(image)."
        )


def _movement(old, new):
    """Give how far a model has moved, in widths; single columns count a tenth."""
    center, width = np.abs(new.center - old.center) / new.width, np.abs(new.width / old.width - 1)
    shape = 0.0 if old.shape is None else 0.2 * np.abs(new.shape - old.shape).max()
    others = np.abs(new.distances - old.distances).max(initial=0.0)
    ends = 0.1 * max(center.max(), width.max(), others)
    return max(np.median(center), np.median(width), ends, shape)


def _one_round(model, compare, draw_curve, columns, n_bins, fit_shape, models, last=False):
    """Compare, solve the bins, draw the curves; give the new model and how it came about."""
    every = np.arange(model.center.size)
    step_x = columns[1] - columns[0] if columns.size > 1 else 1
    bins, part = compare(model, slice(None, None, step_x), min(n_bins, columns.size))
    common = bins.common_steps()
    by_bin = np.tile(common, (bins.x.size, 1))
    wings, shapes = None, None
    if fit_shape:
        step, sigma = bins.last_by_bin()
        shapes = np.interp(bins.x, every, model.shape) + step, sigma
        known = np.isfinite(sigma) & (sigma < 0.5)
        if last and known.sum() > 3:  # may change along the spectrum, if that is significant
            wings = draw_curve(
                bins.x[known], step[known], sigma[known], every, models[2], caution=10.0
            )
            by_bin[:, -1] = np.interp(bins.x, every, wings.value)
        shape_step = np.clip(wings.value if last and wings is not None else common[-1], -0.1, 0.1)
    steps, sigma = bins.local_steps(by_bin)
    near = np.interp(bins.x, every, model.width)
    # far from the goal a linear step may be too long; a bin that says nothing may say anything
    longest = np.stack([near, np.full(near.size, 0.4)], axis=1) * (5 if last else 1)
    steps = np.clip(steps, -longest, longest)
    center = np.interp(bins.x, every, model.center) + steps[:, 0]
    log_width = np.log(near) + steps[:, 1]
    usable = ~bins.empty & (sigma[:, 0] < 0.7 * near) & (sigma[:, 1] < 0.7)
    if usable.any():  # no star is three times as wide here as elsewhere
        usable &= np.abs(log_width - np.median(log_width[usable])) < np.log(3)
    if usable.sum() < min(3, usable.size):
        raise StarLostError(
            f"Only {usable.sum()} of {usable.size} bins along the spectrum see a star here. "
            "Check the guess, take fewer bins, or look for stars with find_stars(image)."
        )
    columns = every if last else np.append(columns, every[-1])
    curves, kept = _draw_curves(
        draw_curve,
        bins.x,
        center,
        log_width,
        sigma,
        usable,
        columns,
        models,
        float(np.median(near)),
    )
    middle, log_width_at = (np.interp(every, columns, curve.value) for curve in curves)
    new = replace(
        model,
        center=middle,
        width=np.exp(np.clip(log_width_at, np.log(0.3), np.log(200))),
        distances=model.distances + np.clip(common[: model.distances.size], -0.5, 0.5),
    )
    if fit_shape:
        new = replace(new, shape=np.clip(model.shape + shape_step, 0.03, 0.6))
    if last:  # the flux goes along with the last step
        moved = new.center - model.center, np.log(new.width / model.width)
        part["flux"] = part["flux"] - sum(
            a * b for a, b in zip(part["flux_by_step"], moved, strict=True)
        )
    found = bins.x, center, np.exp(log_width), sigma, kept, usable, shapes
    return new, (*curves, wings), found, part


def _draw_curves(draw_curve, x, center, log_width, sigma, usable, at, models, width):
    """Draw the curves through centres and log widths; say which bins each of them used."""
    points = [a[usable] for a in (x, center, log_width, sigma)]
    curves = (
        draw_curve(points[0], points[1], points[3][:, 0], at, models[0], floor=FLOOR[0] * width),
        draw_curve(
            points[0], points[2], points[3][:, 1], at, models[1], floor=FLOOR[1], level_ends=True
        ),
    )
    kept = np.tile(usable, (2, 1))
    for keep, curve in zip(kept, curves, strict=True):
        keep[usable] = curve.keep
    return curves, kept


def tabulate_bins(x, center, width, sigma, kept, usable, shapes, part, n_x):
    """
    Put every bin in a table, with what was used and why not.

    Parameters
    ----------
    x, center, width : `~numpy.ndarray`, shape (n_bins,)
        Pixels.
    sigma : `~numpy.ndarray`, shape (n_bins, 2)
        Uncertainties of centre and log width.
    kept : `~numpy.ndarray` of bool, shape (2, n_bins)
        Whether the bin was used for the curve of the centre, and for that of the width.
    usable : `~numpy.ndarray` of bool, shape (n_bins,)
        Whether it said enough.
    shapes : tuple of `~numpy.ndarray`, shape (n_bins,), or None
        1 / beta as each bin alone sees it, and its uncertainty.
    part : dict
        What the columns say: ``flux``, ``sky``, ``solvable``, ``fine``, ``seen``, ``chi2``.
    n_x : int
        Number of columns.

    Returns
    -------
    `~astropy.table.QTable`
    """
    starts = np.linspace(0, n_x, x.size + 1).astype(int)[:-1]
    solvable = part["solvable"]
    count = np.add.reduceat(solvable.astype(int), starts)
    some = np.maximum(count, 1)
    flux = np.add.reduceat(np.where(solvable, part["flux"], 0), starts) / some
    sky = np.add.reduceat(np.where(solvable, part["sky"], 0), starts) / some
    pixels = np.add.reduceat(part["fine"].sum(axis=0), starts)
    seen = np.add.reduceat(part["seen"].sum(axis=0), starts)
    middle = np.add.reduceat(part["seen"][part["seen"].shape[0] // 2].astype(int), starts)
    reason = np.select(
        [kept.all(axis=0), middle == 0, count == 0, ~usable, kept[0], kept[1]],
        [
            "",
            "outside the image or masked",
            "too few good pixels",
            "too little light",
            "width off the curve",
            "center off the curve",
        ],
        "center and width off the curve",
    )
    columns = {
        "x": x * u.pix,
        "center": center * u.pix,
        "center_uncertainty": sigma[:, 0] * u.pix,
        "width": width * u.pix,
        "width_uncertainty": sigma[:, 1] * width * u.pix,
        **({} if shapes is None else {"shape": shapes[0], "shape_uncertainty": shapes[1]}),
        "amplitude": flux * u.electron,
        "background": sky * u.electron,
        "n_columns": count,
        "n_pixels": pixels,
        "n_rejected": seen - pixels,
        "used": kept[0],
        "used_width": kept[1],
        "reason": reason,
    }
    return QTable(columns)
