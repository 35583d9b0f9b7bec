import numpy as np

from slitlapse.trace import ProfileTrace, plot_trace_on_image, star_image

rng = np.random.default_rng(3)
along = np.linspace(0, 1, 500)
star = star_image(
    (80, 500), 35 + 8 * along, 2.4 - 0.5 * along, 6000.0, profile="moffat"
)
image = rng.poisson(star + 50) + rng.normal(0, 4, star.shape)
plot_trace_on_image(image, ProfileTrace(image, guess=38, read_noise=4.0))
