import matplotlib.pyplot as plt
import numpy as np

from slitlapse.extraction import RowWindow
from slitlapse.trace import star_image

centre = 20 + 30 * np.linspace(0, 1, 300)
image = star_image((80, 300), centre, 2.0, 1000.0)
window = RowWindow.around(centre, half_rows=10, n_y=80)
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
left.imshow(image, origin="lower", aspect="auto")
left.plot(window.rows[[0, -1]].T, "w", lw=0.8)
left.set(title="the frame", xlabel="x (pixel)", ylabel="y (pixel)")
right.imshow(window.cut(image), origin="lower", aspect="auto")
right.set(
    title="the cut-out: no pixel was resampled",
    xlabel="x (pixel)",
    ylabel="row of the window",
)
