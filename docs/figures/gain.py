import matplotlib.pyplot as plt
import numpy as np

from slitlapse.photons import Amplifier, measure_gain, simulate_bias, simulate_flat

rng = np.random.default_rng(1)
chip = [
    Amplifier("[1:200,1:120]", "[201:220,1:120]", gain=1.5, read_noise=4.0, name="chip")
]
ramp = np.tile(np.linspace(200.0, 40000.0, 200), (120, 1))
flats = [simulate_flat(ramp, chip, rng=rng) for _ in range(6)]
biases = [simulate_bias(chip, rng=rng) for _ in range(4)]
(gain,) = measure_gain(flats, chip, biases=biases, saturation=60000)
gain.plot(ax=plt.figure(figsize=(6, 3.2)).add_subplot())
