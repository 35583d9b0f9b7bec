import matplotlib.pyplot as plt
import numpy as np
from specreduce.tracing import FlatTrace

from slitlapse.extraction import NoiseBudget, PixelNoise, ProfileExtract
from slitlapse.trace import star_image

rng = np.random.default_rng(6)
light = star_image((60, 400), 29.3, 2.2, np.geomspace(100, 30000, 400))
image = rng.poisson(light + 60) - 60 + rng.normal(0, 4, light.shape)
noise = PixelNoise(
    read_noise=4.0, sky=np.full(light.shape, 60.0), sensitivity_uncertainty=0.005
)
sums = ProfileExtract(image, FlatTrace(image, 29.3), width=2.2, noise=noise).sums()
budget = NoiseBudget(**{name: part[0] for name, part in sums.variances.items()})
budget.plot(ax=plt.figure(figsize=(7, 3.4)).add_subplot())
