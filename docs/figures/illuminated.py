import matplotlib.pyplot as plt
import numpy as np

from slitlapse.flats import find_illuminated, make_lamp_image
from slitlapse.look import show_frame

rng = np.random.default_rng(2)
flat = rng.poisson(make_lamp_image((100, 400), peak=30000.0, blue_end=0.1)).astype(
    float
)
ax = plt.figure(figsize=(8, 2.6)).add_subplot()
show_frame(flat, ax)
find_illuminated(flat).plot(ax=ax)
