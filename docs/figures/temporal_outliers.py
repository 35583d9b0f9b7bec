import matplotlib.pyplot as plt
import numpy as np

from slitlapse.extraction import TemporalOutliers
from slitlapse.extraction.simulate import add_hits
from slitlapse.trace import star_image

rng = np.random.default_rng(6)
outliers, marks, hits = TemporalOutliers(), [], []
for seeing in np.linspace(2.0, 2.6, 9):
    light = star_image((40, 300), 20.0, seeing, 5000.0)
    frame, hit = add_hits(rng.poisson(light + 50.0) - 50.0, 12, rng=rng)
    hits.append((frame, hit))
    marks += outliers.add(
        frame, light, light + 50
    )  # comes back when neighbours are known
marks += outliers.finish()
(frame, hit), mark = hits[4], marks[4]
ax = plt.figure(figsize=(8, 2.6)).add_subplot()
ax.imshow(frame, origin="lower", aspect="auto", cmap="gray", vmin=-50, vmax=1500)
y, x = np.nonzero(mark)
ax.plot(
    x,
    y,
    "o",
    mfc="none",
    color="tab:orange",
    label=f"marked in exposure 5: {mark.sum()} pixels",
)
ax.set(xlabel="x (pixel)", ylabel="y (pixel)")
ax.legend(loc="upper right")
