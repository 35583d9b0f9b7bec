"""Two commands' worth of a night: simulate it, reduce it, compare with the truth."""

from pathlib import Path

import numpy as np

from slitlapse.automation.light_curves import light_curves
from slitlapse.automation.night import reduce_night
from slitlapse.automation.night_file import read_night
from slitlapse.automation.simulate import simulate_night
from slitlapse.instruments import load_instrument

__all__ = ["run_demo"]


def run_demo(folder, *, n_exposures=40, seed=1):
    """
    Simulate a small night of two stars with a transit, reduce it, and say where all is.

    Parameters
    ----------
    folder : path-like
        Gets the raw frames, ``night.toml`` and the results.
    n_exposures : int
    seed : int
        Of the random numbers.

    Raises
    ------
    ValueError
        Where the folder holds something else already, or there are too few exposures.
    """
    folder = Path(folder)
    if n_exposures < 5:
        raise ValueError(f"a transit needs 5 exposures or more, but got {n_exposures}")
    if folder.exists() and any(folder.iterdir()) and not (folder / "night.toml").exists():
        raise ValueError(
            f"{folder} exists and is not a simulated night; name another folder for the demo"
        )
    instrument = load_instrument("toy")
    rng = np.random.default_rng(seed)
    truth = simulate_night(
        folder, instrument=instrument, rng=rng, n_exposures=n_exposures, progress=True
    )
    result = reduce_night(read_night(truth.night_file), progress=True)
    print(result.summary())
    target, comparison = (result.series[star.name] for star in truth.stars)
    depth, error = white_depth(light_curves(target, [comparison]), truth)
    print(f"transit put in: {100 * truth.stars[0].depth:.2f} % deep")
    print(f"transit found:  {100 * depth:.2f} +- {100 * error:.2f} %")


def white_depth(curve, truth):
    """Depth of the transit in white light and its error, from the inside over the outside."""
    dip = truth.stars[0].dip(truth.scene, truth.hours).mean(axis=0) / truth.stars[0].depth
    inside, outside = dip > 0.99, dip < 0.01
    flux, error = curve.flux.value[0], curve.uncertainty.value[0]
    ratio = flux[inside].mean() / flux[outside].mean()
    relative = [
        np.sqrt(np.sum(error[part] ** 2)) / np.sum(flux[part]) for part in (inside, outside)
    ]
    return 1 - ratio, ratio * np.hypot(*relative)
