import matplotlib.pyplot as plt
import numpy as np

from slitlapse.photons import Amplifier, measure_read_noise, simulate_bias

rng = np.random.default_rng(1)
chip = [
    Amplifier("[1:200,1:120]", "[201:220,1:120]", gain=1.5, read_noise=4.0, name="chip")
]
(noise,) = measure_read_noise([simulate_bias(chip, rng=rng) for _ in range(6)], chip)
noise.plot(ax=plt.figure(figsize=(6, 3.2)).add_subplot())
