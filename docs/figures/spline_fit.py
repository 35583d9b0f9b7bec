import matplotlib.pyplot as plt
import numpy as np

from slitlapse.sky import SkyGeometry

rng = np.random.default_rng(4)
y, x = np.mgrid[:60, :200]
effective = x - 0.05 * y  # lines lean by 3 pixels
truth = 100 + 2000 * np.exp(-0.5 * ((effective - 90) / 1.5) ** 2)
image = rng.poisson(truth) + rng.normal(0, 3, truth.shape)
geometry = SkyGeometry(effective, np.abs(y - 30) > 8)  # once for a night ...
fit = geometry.fit(image, read_variance=9.0)  # ... a SplineFit for every exposure
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
left.plot(x[30], truth[30], "k", label="truth in the star's row")
left.plot(x[30], fit.model[30], ".", label="model")
left.set(xlim=(75, 105), xlabel="x (pixel)", ylabel="electron")
left.legend(fontsize=8)
right.plot(x[30], fit.model[30] - truth[30], lw=0.8, label="model - truth")
right.fill_between(
    x[30],
    -np.sqrt(fit.variance[30]),
    np.sqrt(fit.variance[30]),
    alpha=0.4,
    label="noise of a pixel",
)
right.set(xlabel="x (pixel)")
right.legend(fontsize=8)
