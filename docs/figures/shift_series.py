import matplotlib.pyplot as plt
import numpy as np

from slitlapse.wavelength import measure_shift

rng = np.random.default_rng(7)
x = np.arange(600)
places, depths = rng.uniform(20, 580, 20), rng.uniform(0.1, 0.5, 20)
drift = 0.3 * np.sin(np.linspace(0, 5, 25))
dips = np.exp(-0.5 * ((x[:, None] - places - drift[:, None, None]) / 3.0) ** 2) @ depths
exposures = rng.poisson(10000 * (1 - dips).clip(0.1))
series = measure_shift(exposures, uncertainty=np.sqrt(exposures))
ax = plt.figure(figsize=(7, 3)).add_subplot()
series.plot(ax=ax)
ax.plot(drift - drift.mean() + series.shift.mean(), "k:", label="put in")
ax.legend()
