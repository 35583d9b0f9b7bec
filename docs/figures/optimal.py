import numpy as np
from specreduce.tracing import ArrayTrace

from slitlapse.extraction import PixelNoise, ProfileExtract
from slitlapse.extraction.explain import plot_weights
from slitlapse.extraction.simulate import add_hits
from slitlapse.trace import star_image

rng = np.random.default_rng(6)
centre = 29 + 4 * np.linspace(0, 1, 300)
light = star_image((60, 300), centre, np.full(300, 2.2), np.geomspace(200, 20000, 300))
image, _ = add_hits(
    rng.poisson(light + 60) - 60 + rng.normal(0, 4, light.shape), 30, rng=rng
)
noise = PixelNoise(read_noise=4.0, sky=np.full(light.shape, 60.0))
sums = ProfileExtract(image, ArrayTrace(image, centre), width=2.2, noise=noise).sums()
plot_weights(image, sums.weights[0], sums.rejected)  # OptimalSums keeps both
