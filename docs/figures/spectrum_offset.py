import matplotlib.pyplot as plt
import numpy as np

from slitlapse.wavelength import WavelengthSolution, find_offset, sky_line_list
from slitlapse.wavelength.simulate import arc_spectrum

believed = WavelengthSolution([6800.0, 1000.0], (0, 999), 1000)
lines = sky_line_list(wavelength_range=(5700, 7900))
options = {
    "fwhm": 3.5,
    "counts": 4000.0,
    "background": 200.0,
    "rng": np.random.default_rng(7),
}
sky = arc_spectrum(believed.shifted(9.0), lines, **options)
features = {"sky": (lines["wavelength"], lines["strength"])}
found = find_offset(sky, believed, features)
ax = plt.figure(figsize=(7, 3)).add_subplot()
ax.plot(believed.wavelength, sky, "k", lw=0.8, label="with the wavelengths of the arc")
right = believed.shifted(found.shift).wavelength
label = f"moved by {found.shift:.2f} +/- {found.shift_uncertainty:.2f} pixels"
ax.plot(right, sky, color="C1", lw=0.8, label=label)
for wavelength in lines["wavelength"][lines["strength"] > 0.25].value:
    ax.axvline(wavelength, color="0.7", ls=":", zorder=0)
ax.set(xlim=(6230, 6420), xlabel="wavelength (Å)", ylabel="sky (electron)")
ax.legend()
