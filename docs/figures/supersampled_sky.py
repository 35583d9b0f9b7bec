import matplotlib.pyplot as plt
import numpy as np

from slitlapse.sky import supersampled_median

rng = np.random.default_rng(4)
y, x = np.mgrid[:60, :200]
effective = x - 0.05 * y
sky = 100 + 2000 * np.exp(-0.5 * ((effective - 90) / 1.5) ** 2)
image = rng.poisson(sky).astype(float)
found = supersampled_median(image, effective, np.abs(y - 30) > 8)  # a SupersampledSky
ax = plt.figure(figsize=(7, 3.2)).add_subplot()
ax.plot(
    found.effective_pixel, found.flux, ".", ms=2, color="0.6", label="all sky pixels"
)
ax.plot(found.effective_pixel, found.smooth, label="running median")
ax.plot(x[0], image[0], "ks", ms=4, label="the pixels of one row")
ax.set(xlim=(82, 98), xlabel="effective pixel", ylabel="electron")
ax.legend()
