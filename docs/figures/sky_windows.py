import matplotlib.pyplot as plt
import numpy as np

from slitlapse.sky import pick_windows
from slitlapse.trace import star_image

rng = np.random.default_rng(4)
image = rng.poisson(star_image((200, 60), 100.0, 2.5, 4000.0) + 50.0)
picker = pick_windows(image, trace=100.0, ax=plt.figure(figsize=(7, 3)).add_subplot())
picker.add(-60, -20)  # what dragging with the mouse does
picker.add(20, 60)
print(picker.text)  # goes into night.toml, and is what SkyWindows.from_text reads
