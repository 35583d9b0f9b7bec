import numpy as np

from slitlapse.sky import PolynomialBackground, SkyWindows
from slitlapse.sky.explain import plot_sky_subtraction
from slitlapse.trace import star_image

rng = np.random.default_rng(4)
rows = np.arange(120.0)[:, None]
light = star_image((120, 300), 60.0, 2.2, 5000.0) + 80 + 0.4 * rows
image = rng.poisson(light) + rng.normal(0, 4, light.shape)
where = SkyWindows([[-50, -15], [15, 50]]).mask(image.shape, 60.0)
sky = PolynomialBackground(image, sky_pixels=where, degree=1, read_noise=4.0)
plot_sky_subtraction(image, sky.bkg_image().flux.value, where, traces=[60.0])
