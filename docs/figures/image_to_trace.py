import matplotlib.pyplot as plt
import numpy as np
from astropy.table import Table

from slitlapse.trace import fit_image_to_trace

rng = np.random.default_rng(3)
y = np.array([40.0, 95.0, 130.0, 210.0])  # stars on an image of the slit
rows = 1.02 * y + 6.0 + rng.normal(0, 0.1, 4)  # their traces on the spectra
there, pairs = fit_image_to_trace(Table({"x": np.full(4, 100.0), "y": y}), rows)
ax = plt.figure(figsize=(5.5, 3.4)).add_subplot()
ax.plot(
    y[pairs[:, 0]],
    rows[pairs[:, 1]],
    "o",
    label="stars and traces that belong together",
)
line = np.linspace(0, 250, 50)
ax.plot(line, there.position(x=np.full(50, 100.0), y=line)[0], label="ImageToTrace")
ax.set(xlabel="y of the star in the image", ylabel="row of its trace")
ax.legend()
