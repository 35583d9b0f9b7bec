import numpy as np

from slitlapse.sky import SplineSky
from slitlapse.sky.explain import plot_sky_subtraction
from slitlapse.sky.simulate import LineShape, sky_scene

shape = (120, 400)
rng = np.random.default_rng(4)
options = {
    "n_lines": 25,
    "brightest": 10000.0,
    "hits": 0.0,
    "line_shape": LineShape(shape=shape),
}
scene = sky_scene(shape, rng=rng, rows=(60,), fluxes=(8000.0,), **options)
image, _ = scene.observe(rng)
where = scene.far_from_stars(14)
sky = SplineSky(image, scene.effective_pixel, sky_pixels=where, read_noise=4.5)
plot_sky_subtraction(image, sky.bkg_image().flux.value, where, traces=scene.traces)
