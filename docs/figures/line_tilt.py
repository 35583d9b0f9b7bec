import matplotlib.pyplot as plt
import numpy as np

from slitlapse.wavelength import LineTilt, WavelengthSolution, lamp_line_list
from slitlapse.wavelength.simulate import arc_image

truth = WavelengthSolution([6800.0, 1200.0, 12.0], (0, 599), 600)
bent = LineTilt([[4.0], [2.0]], (120, 600), reference_row=60.0)
options = {
    "fwhm": 3.0,
    "counts": 1e5,
    "read_noise": 5.0,
    "rng": np.random.default_rng(7),
}
frame = arc_image(truth, lamp_line_list("Ne"), bent, **options)
LineTilt.measure(frame, reference_row=60.0).plot(
    ax=plt.figure(figsize=(7, 3)).add_subplot()
)
