import matplotlib.pyplot as plt
import numpy as np

from slitlapse.trace import ProfileTrace, measure_profile_shift, star_image

rng = np.random.default_rng(3)
moved, wider = np.linspace(-1, 1, 15) ** 3, np.linspace(0.9, 1.3, 15)


def expose(offset, factor):
    star = star_image((60, 200), 30.0 + offset, 2.2 * factor, 3000.0, profile="moffat")
    return rng.poisson(star + 50) + rng.normal(0, 4, star.shape)


trace = ProfileTrace(expose(0, 1), guess=30, read_noise=4.0)
pairs = zip(moved, wider, strict=True)
shifts = [measure_profile_shift(expose(*each), trace, read_noise=4.0) for each in pairs]
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.errorbar(
    moved, [s.offset for s in shifts], [s.offset_uncertainty for s in shifts], fmt="o"
)
left.plot(moved, moved, "k:")
left.set(xlabel="put in: moved (pixel)", ylabel="offset found (pixel)")
errors = [s.width_factor_uncertainty for s in shifts]
right.errorbar(wider, [s.width_factor for s in shifts], errors, fmt="o")
right.plot(wider, wider, "k:")
right.set(xlabel="put in: wider by", ylabel="width factor found")
