import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np

from slitlapse.photons import DarkCurrent

rng = np.random.default_rng(1)
rate = rng.gamma(2.0, 0.005, (100, 150))  # electron per second
rate[rng.random(rate.shape) < 0.002] = 3.0
dark = DarkCurrent(
    rate * u.electron / u.s, 0.002 * u.electron / u.s * np.ones_like(rate), rate > 1
)
dark.plot(ax=plt.figure(figsize=(6, 3.2)).add_subplot())
