"""Draw the pictures of the page on real nights, from what ``slitlapse reduce`` made of them.

Run it as ``python docs/make_real_pictures.py sprat goodman``, with the folders in which the night
files of ``docs/examples`` were reduced. Only results are drawn, no frame.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure  # noqa: TID253 (a script, not the package)

from slitlapse.automation import SpectralTimeSeries

PICTURES = Path(__file__).parent / "images"
COLOURS = {"A": "tab:blue", "B": "tab:orange"}


def draw(stars, by_hand, gain, columns, path):
    """Draw spectra, then light and seeing against time."""
    figure = Figure(figsize=(6, 7), layout="constrained")
    spectra, light, seeing = figure.subplots(3, 1, height_ratios=[1.3, 1, 0.8])
    for name, star in stars.items():
        flux = np.where(star.mask, np.nan, star.flux.value)
        spectra.plot(star.wavelength.value, np.nanmean(flux, axis=1), color=COLOURS[name], lw=0.8)
        minutes = (star.time - star.time[0]).to_value("min")
        counts = np.nanmedian(flux[columns], axis=0) / gain
        scale = by_hand[name][0]
        light.plot(minutes, counts / scale, "o-", color=COLOURS[name], label=f"star {name}")
        light.plot(minutes, np.array(by_hand[name]) / scale, "kx", ms=9)
        seeing.plot(minutes, star.timelike["seeing"].value, "o-", color=COLOURS[name])
    spectra.set(xlabel="wavelength (Å, in air)", ylabel="electron per pixel")
    light.set(ylabel="light over the first\n(x: counted by hand)")
    seeing.set(xlabel="minutes", ylabel="seeing (pixel)")
    light.legend()
    figure.savefig(PICTURES / path, dpi=100, metadata={"Software": None})


def main(sprat, goodman):
    """Draw both nights; the counts by hand are those of the data sets' descriptions."""
    stars = {name: SpectralTimeSeries.read(f"{sprat}/reduced/{name}.fits") for name in "AB"}
    hand = {"A": [1228, 1247, 1214, 1244, 1213], "B": [181, 170, 189, 173, 210]}
    draw(stars, hand, 2.45, slice(400, 900), "real_sprat.png")
    stars = {"A": SpectralTimeSeries.read(f"{goodman}/reduced/A.fits")}
    hand = {"A": [2266, 1974, 1988, 2126, 1914]}
    draw(stars, hand, 1.32, slice(792, 1792), "real_goodman.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
