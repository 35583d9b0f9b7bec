import matplotlib.pyplot as plt
import numpy as np

from slitlapse.look import Movie, MoviePanel

x = np.arange(50)
spectra = 100 + 5 * np.sin(x / 5 + np.arange(20)[:, None] / 4)
panel = MoviePanel(x, spectra, "pixel", "electron", reference=spectra.mean(axis=0))
movie = Movie([panel], [f"exposure {i + 1}" for i in range(20)])
svg = movie.to_svg()  # one drawing, whose lines a slider of the report changes
fig, axes = plt.subplots(1, 3, figsize=(8, 2.2), sharey=True, layout="constrained")
for ax, number in zip(axes, (0, 9, 19), strict=True):
    ax.plot(panel.x, panel.y[number])
    ax.plot(panel.x, panel.reference, "k--", lw=0.8)
    ax.set(title=movie.captions[number], xlabel=panel.xlabel)
