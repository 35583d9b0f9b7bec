import matplotlib.pyplot as plt
import numpy as np

from slitlapse.wavelength import WavelengthSolution, lamp_line_list, measure_zero_point
from slitlapse.wavelength.simulate import arc_spectrum

believed = WavelengthSolution([6800.0, 1200.0], (0, 999), 1000)
moved = WavelengthSolution([6800.0 + 0.37 * 2400 / 999, 1200.0], (0, 999), 1000)
neon = lamp_line_list("Ne", wavelength_range=(5600, 8000))
neon = neon[neon["strength"] > 0.03 * neon["strength"].max()]
options = {
    "fwhm": 4.0,
    "counts": 1e4,
    "read_noise": 5.0,
    "rng": np.random.default_rng(7),
}
spectrum = arc_spectrum(moved, neon, **options)
zero = measure_zero_point(spectrum, believed, neon, fwhm=4.0)
lines = zero.lines
ax = plt.figure(figsize=(7, 3)).add_subplot()
ax.errorbar(
    lines["wavelength"].value,
    lines["offset"],
    lines["offset_uncertainty"],
    fmt="o",
    ms=3,
)
ax.axhline(-0.37, color="k", ls=":", label="put in")
label = f"found: {zero.shift:.3f} +/- {zero.shift_uncertainty:.3f}"
ax.axhline(zero.shift, color="C1", label=label)
ax.set(xlabel="wavelength (Å)", ylabel="offset (pixel)")
ax.legend()
