import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter1d

from slitlapse.wavelength import (
    WavelengthSolution,
    measure_oxygen,
    oxygen_transmission,
)

believed = WavelengthSolution([7300.0, 600.0], (0, 799), 800, "vacuum")
fine = (np.arange(80000) + 0.5) / 100 - 0.5
air = oxygen_transmission(believed.pixel_to_wavelength(fine - 5.0))
light = gaussian_filter1d(air, 150).reshape(800, 100).mean(axis=1)
star = np.random.default_rng(7).poisson(20000 * light)
found = measure_oxygen(star, believed, uncertainty=np.sqrt(star))
left, right = plt.figure(figsize=(7, 3), layout="constrained").subplots(1, 2)
left.plot(believed.pixel_to_wavelength(fine - 5.0), air, "0.7", lw=0.3)
left.plot(believed.shifted(5.0).wavelength, light, "k", lw=1)
left.set(xlim=(7580, 7720), xlabel="wavelength (Å)", ylabel="what comes through")
right.plot(believed.wavelength, star, "k", lw=0.8, label="as the arc has it")
label = f"moved by {found.shift:.2f} +/- {found.shift_uncertainty:.2f} pixels"
moved = believed.shifted(found.shift).wavelength
right.plot(moved, star, color="C1", lw=0.8, label=label)
right.axvline(7595.7, color="0.5", ls=":")
right.set(xlim=(7540, 7860), xlabel="wavelength (Å)", ylabel="star (electron)")
right.legend(fontsize="small")
