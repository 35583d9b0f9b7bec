import astropy.units as u
import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty

from slitlapse.flats import (
    find_illuminated,
    fit_pixel_sensitivity,
    make_lamp_image,
    make_sensitivity,
    plot_flat_steps,
)

rng = np.random.default_rng(2)
lamp = make_lamp_image((100, 1000), peak=30000.0, blue_end=0.1)
truth = make_sensitivity(lamp.shape, rng=rng, scatter=0.01, dead_columns=(320, 321))
data = rng.poisson(lamp * truth, (8, *lamp.shape)).mean(axis=0)
noise = StdDevUncertainty(np.sqrt(np.maximum(lamp, 1) / 8))
flat = CCDData(data, unit=u.electron, uncertainty=noise, meta={"NCOMBINE": 8})
found = fit_pixel_sensitivity(flat, find_illuminated(flat))  # a PixelSensitivity
plot_flat_steps(flat, found)
