import matplotlib.pyplot as plt
import numpy as np

from slitlapse.wavelength import (
    WavelengthSolution,
    find_lines,
    lamp_line_list,
    search_dispersion,
)
from slitlapse.wavelength.simulate import arc_spectrum

truth = WavelengthSolution([6800.0, 1200.0, 12.0], (0, 999), 1000)
neon = lamp_line_list("Ne", wavelength_range=(5000, 9000))
rng = np.random.default_rng(7)
seen = find_lines(
    arc_spectrum(truth, neon, fwhm=3.0, counts=1e5, read_noise=5.0, rng=rng)
)
listed = neon["wavelength"].value, np.asarray(neon["strength"])
found = search_dispersion(
    [(seen["pixel"].value, np.ones(len(seen)), *listed)], 1000, dispersion=(1.5, 4)
)  # a DispersionSearch: every dispersion, direction, bend and zero point
v = np.linspace(-1, 1, 1000)
ax = plt.figure(figsize=(7, 3.4)).add_subplot()
for rank, (a0, a1, a2) in enumerate(found.coefficients[:6]):
    label = f"best of {found.n_tried:.1e}" if rank == 0 else None
    ax.plot(
        a0 + a1 * v + a2 * v**2 - truth.wavelength.value,
        color=f"C{min(rank, 1)}",
        label=label,
    )
ax.set(
    xlabel="x (pixel)",
    ylabel="guess - truth (Å)",
    title="the six best guesses",
    ylim=(-400, 400),
)
ax.legend()
