import matplotlib.pyplot as plt
import numpy as np

from slitlapse.look import FlipBook
from slitlapse.trace import star_image

rng = np.random.default_rng(1)
frames = [
    rng.poisson(star_image((40, 120), 15.0 + i, 2.0, 900.0) + 20.0) for i in range(10)
]
book = FlipBook(frames, [f"exposure {i + 1}" for i in range(10)])
book.draw(
    4, ax=plt.figure(figsize=(7, 2.6)).add_subplot()
)  # book.save("night.gif") writes them all
