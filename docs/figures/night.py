import tempfile

import matplotlib.pyplot as plt
import numpy as np

from slitlapse.automation import light_curves, read_night, reduce_night, simulate_night
from slitlapse.instruments import load_instrument

truth = simulate_night(  # a SimulatedNight
    tempfile.mkdtemp(),
    instrument=load_instrument("toy"),
    rng=np.random.default_rng(11),
    n_exposures=8,
    n_calibrations=3,
)
night = read_night(truth.night_file)  # a Night: what a person decided
result = reduce_night(night)  # a NightResult
target, comparison = (
    result.series["target"],
    result.series["comparison"],
)  # SpectralTimeSeries
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
target.bin(wavelength=16).imshow(ax=left)
curve = light_curves(target, [comparison])
right.errorbar(
    truth.hours, curve.flux[0].value, curve.uncertainty[0].value, fmt="o", label="found"
)
model = 1 - truth.stars[0].dip(truth.scene, truth.hours).mean(axis=0)
right.plot(truth.hours, model / model.mean(), label="put in")
right.set(xlabel="hours", ylabel="target / comparison")
right.legend()
