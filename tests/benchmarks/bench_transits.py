"""Is a transit found as deep as it was put in, wavelength by wavelength?

Run with ``python tests/benchmarks/bench_transits.py [nights] [exposures] [bins]``: simulates
nights of two stars on the toy spectrograph with a transit of 2 % (deeper in the blue), clouds,
extinction, a drift, changing seeing and cosmic rays, reduces them, divides target by comparison
bin by bin, and prints depth minus truth over the quoted error: the mean should be 0 +- 1 / sqrt(N),
the standard deviation 1 +- 1 / sqrt(2 N). ``--quick`` is one short night, to see that it runs.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np

from slitlapse.automation import (
    SpectralTimeSeries,
    light_curves,
    read_night,
    reduce_night,
    simulate_night,
)
from slitlapse.automation.scene import place_on_slit, transit_shape
from slitlapse.instruments import load_instrument


def depths(truth, series, edges):
    """Depth, true depth and quoted error in every bin, each of shape (n_bins,)."""
    ratio = light_curves(series["target"], [series["comparison"]], wavelength=edges)
    true = [binned_truth(truth, series[name], edges) for name in ("target", "comparison")]
    shape = transit_shape(truth.hours)
    found = [
        fit_depth(flux, error, shape)
        for flux, error in zip(ratio.flux.value, ratio.uncertainty.value, strict=True)
    ]
    expected = [
        fit_depth(flux, error, shape)[0]
        for flux, error in zip(true[0] / true[1], ratio.uncertainty.value, strict=True)
    ]
    depth, error = np.transpose(found)
    return depth, np.array(expected), error


def binned_truth(truth, star, edges):
    """What a perfect measurement through the star's aperture would have given."""
    light = truth.flux(star.name) * star.fluxlike["enclosed"].value * u.electron
    perfect = {"flux": light, "uncertainty": star.uncertainty}
    return (
        SpectralTimeSeries(star.wavelike, star.timelike, perfect).bin(wavelength=edges).flux.value
    )


def fit_depth(flux, error, shape):
    """Depth of a transit of known shape by linear least squares, and its error."""
    design = np.stack([np.ones_like(shape), -shape], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    level, loss = covariance @ (design.T @ (flux / error))
    slope = np.array([-loss / level**2, 1 / level])
    return loss / level, np.sqrt(slope @ covariance @ slope)


def one_night(seed, folder, n_exposures=24, n_bins=11, brightness=1.0, **kwargs):
    """Pulls of the depths of one simulated night, shape (n_bins,)."""
    stars = [replace(star, level=brightness * star.level) for star in place_on_slit(2, 120)]
    truth = simulate_night(
        folder, instrument=load_instrument("toy"), rng=np.random.default_rng(seed), stars=stars,
        n_exposures=n_exposures, **kwargs,
    )  # fmt: skip
    series = reduce_night(read_night(truth.night_file), report=False).series
    edges = np.linspace(5250, 8000, n_bins + 1) * u.AA
    depth, true, error = depths(truth, series, edges)
    return (depth - true) / error


def main(nights=10, n_exposures=24, n_bins=11, levels=(0.1, 1.0, 3.0)):
    """Print the pulls of several nights at three brightnesses, and of all together."""
    every = []
    for brightness in levels:
        pulls = []
        for seed in range(nights):
            # no seed twice: nights of the same seed share weather and hits
            own = seed + round(1000 * brightness)
            with tempfile.TemporaryDirectory() as folder:
                pulls.append(one_night(own, Path(folder), n_exposures, n_bins, brightness))
        every.append(np.concatenate(pulls))
        tell(f"stars x {brightness:3.1f}", every[-1])
    tell("all together", np.concatenate(every))


def tell(name, pulls):
    """Print mean and scatter of pulls, with the errors that chance gives them."""
    n = pulls.size
    print(
        f"{name}: {n} depths, mean {pulls.mean():+.3f} +- {1 / np.sqrt(n):.3f}, "
        f"standard deviation {pulls.std():.3f} +- {1 / np.sqrt(2 * n):.3f}", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:] == ["--quick"]:
        main(1, 6, 3, [1.0])
    else:
        main(*map(int, sys.argv[1:]))
