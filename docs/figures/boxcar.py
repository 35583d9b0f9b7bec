import matplotlib.pyplot as plt
import numpy as np

from slitlapse.extraction import PixelNoise, boxcar_sums, gaussian_profile

rng = np.random.default_rng(6)
rows, shape = np.arange(60)[:, None], (60, 2000)
centre = np.full(2000, 29.3)
profile = gaussian_profile(rows, centre, np.full(2000, 2.2))
image = rng.poisson(4000 * profile + 60) - 60 + rng.normal(0, 4, shape)
noise = PixelNoise(read_noise=4.0, sky=np.full(shape, 60.0))
widths = np.arange(3, 31, 1.0)
sums = boxcar_sums(
    image, rows, centre, widths / 2, profile, noise
)  # all widths in one pass
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(widths, sums.flux.mean(axis=1) / 4000, "o", ms=3, label="measured")
left.plot(widths, sums.enclosed.mean(axis=1), "k", lw=1, label="foretold (enclosed)")
left.set(xlabel="width of the box (pixel)", ylabel="share of the light")
left.legend()
error = np.sqrt(sum(sums.variances.values())).mean(axis=1)
right.plot(widths, error / sums.flux.mean(axis=1), label="quoted")
right.plot(
    widths, sums.flux.std(axis=1) / sums.flux.mean(axis=1), "o", ms=3, label="scatter"
)
right.set(xlabel="width of the box (pixel)", ylabel="relative error of a column")
right.legend()
