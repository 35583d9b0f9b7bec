import matplotlib.pyplot as plt
import numpy as np

from slitlapse.look import show_frame
from slitlapse.photons import Amplifier, to_raw

halves = [
    Amplifier(
        "[1:100,1:120]", "[201:220,1:120]", gain=1.2, read_noise=4.0, name="left"
    ),
    Amplifier(
        "[101:200,1:120]", "[221:240,1:120]", gain=1.5, read_noise=5.0, name="right"
    ),
]
drift = 6 * np.sin(np.linspace(0, 3, 120))  # adu, row by row
rng = np.random.default_rng(1)
raw = to_raw(np.full((120, 200), 60.0), halves, rng=rng, bias_level=1000, drift=drift)
level = halves[0].measure_level(raw.data)  # an OverscanLevel
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
show_frame(raw, left)
rows = np.arange(120)
right.plot(
    raw.data[:, 200:220].mean(axis=1), rows, ".", ms=3, label="mean of 20 pixels"
)
right.plot(level.level, rows, label="level found")
right.plot(1000 + drift, rows, "k:", label="truth")
right.set(xlabel="overscan of 'left' (adu)", ylabel="y (pixel)")
right.legend(fontsize=8)
