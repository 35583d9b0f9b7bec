import matplotlib.pyplot as plt
import numpy as np

from slitlapse.sky import measure_sky_tilt
from slitlapse.sky.explain import plot_effective_pixel
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
tilt = measure_sky_tilt(image, scene.far_from_stars(14))  # a SkyTilt
off = tilt.effective_pixel() - scene.effective_pixel
ax = plt.figure(figsize=(8, 3)).add_subplot()
plot_effective_pixel(tilt.effective_pixel(), ax)
ax.set_title(f"off the truth by {np.std(off):.3f} pixel")
