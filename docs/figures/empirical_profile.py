import matplotlib.pyplot as plt
import numpy as np

from slitlapse.extraction import EmpiricalProfile, gaussian_profile, moffat_profile

rows, columns = np.arange(41)[:, None], 300
centre, width = np.linspace(19.6, 20.4, columns), np.full(columns, 2.0)
rng = np.random.default_rng(6)
star = 20000 * moffat_profile(rows, centre, width, 2.5)
cutouts = [rng.poisson(star).astype(float) for _ in range(5)]
profile = EmpiricalProfile.from_cutouts(cutouts, [rows] * 5, [centre] * 5, [width] * 5)
ax = plt.figure(figsize=(6.5, 3.2)).add_subplot()
across = rows[:, 0] - centre[0]
ax.plot(across, star[:, 0] / 20000, "ko", ms=4, label="truth (Moffat)")
ax.plot(across, profile(rows, centre, width)[:, 0], label="EmpiricalProfile")
ax.plot(across, gaussian_profile(rows, centre, width)[:, 0], ":", label="Gaussian")
ax.set(
    yscale="log",
    ylim=(1e-4, 0.5),
    xlim=(-15, 15),
    xlabel="from the star's centre (pixel)",
)
ax.set_ylabel("share of the light")
ax.legend()
