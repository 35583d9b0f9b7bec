import numpy as np

from slitlapse.wavelength import WavelengthSolution, lamp_line_list, match_lamps
from slitlapse.wavelength.explain import plot_wavelength_story
from slitlapse.wavelength.simulate import arc_spectrum

truth = WavelengthSolution([6800.0, 1200.0, 12.0], (0, 999), 1000)
options = {
    "fwhm": 3.0,
    "counts": 1e5,
    "read_noise": 5.0,
    "rng": np.random.default_rng(7),
}
arc = arc_spectrum(truth, lamp_line_list("Ne"), **options)
solution = match_lamps({"Ne": arc}, wavelength_range=(5500, 8100))
print(solution.verdict)
plot_wavelength_story(arc, solution)
