"""Draw the picture at the top of the README, from the night that ``slitlapse demo`` makes.

Run it in a folder that holds ``slitlapse-demo``: ``python docs/make_picture.py``.
"""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable
from matplotlib.figure import Figure  # noqa: TID253 (a script, not the package)

from slitlapse.automation import SpectralTimeSeries, light_curves

NIGHT = Path("slitlapse-demo")
PICTURE = Path(__file__).parent / "images" / "night.png"
COLOURS = {"target": "tab:orange", "comparison": "tab:cyan"}


def draw_raw(ax):
    """Draw one raw frame, and where the stars were found on it."""
    path = sorted((NIGHT / "raw").glob("*science*"))[0]
    frame = fits.getdata(path).astype(float)[:, :640]
    low, high = np.percentile(frame, [2, 99.7])
    ax.imshow(frame, origin="lower", cmap="gray", vmin=low, vmax=high, aspect="auto")
    for name, colour in COLOURS.items():
        trace = QTable.read(NIGHT / "reduced" / f"trace_{name}.ecsv", format="ascii.ecsv")
        centre, width = trace["center"].value, trace["width"].value
        for side in (-1, 1):
            ax.plot(centre + side * 4 * width, color=colour, lw=1)
        ax.text(8, centre[0] + 5 * width[0], name, color=colour, va="bottom")
    ax.set(xlabel="pixel along the dispersion", ylabel="along the slit", title="raw frames ...")
    ax.set(xlim=(-0.5, 639.5), ylim=(-0.5, 119.5))


def draw_change(ax, star, other):
    """Draw what changes through the night, at each wavelength."""
    curves = light_curves(star, [other], wavelength=25 * u.AA)
    flux = np.ma.masked_array(curves.flux.value, curves.mask)
    hours = (curves.time - curves.time[0]).to_value("hour")
    mesh = ax.pcolormesh(hours, curves.wavelength.value, flux, cmap="cividis", vmin=0.98, vmax=1.02)
    ax.figure.colorbar(mesh, ax=ax, label="target / comparison")
    ax.set(xlabel="hours", ylabel="wavelength (Å)", title="... become spectra in time ...")


def draw_curve(ax, star, other):
    """Draw the light curve of one star over the other."""
    curve = light_curves(star, [other])
    hours = (curve.time - curve.time[0]).to_value("hour")
    flux, error = curve.flux[0].value, curve.uncertainty[0].value
    ax.errorbar(hours, flux, error, fmt="o", ms=3, lw=0.8, color=COLOURS["target"])
    ax.set(xlabel="hours", ylabel="target / comparison", title="... and light curves")


def main():
    """Draw the three panels and write them as one small PNG."""
    stars = [SpectralTimeSeries.read(NIGHT / "reduced" / f"{name}.fits") for name in COLOURS]
    figure = Figure(figsize=(8.5, 6.2), layout="constrained")  # letters for a phone, too
    axes = figure.subplot_mosaic([["raw", "raw"], ["change", "curve"]], width_ratios=[1.15, 1])
    draw_raw(axes["raw"])
    draw_change(axes["change"], *stars)
    draw_curve(axes["curve"], *stars)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
