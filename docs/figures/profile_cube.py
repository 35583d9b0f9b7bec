import matplotlib.pyplot as plt
import numpy as np

from slitlapse.extraction import ProfileCube

offset, width = np.linspace(-12, 12, 241), np.array([[3.0], [1.5]])
cube = ProfileCube(np.array([4e3, 8e3]), offset, np.exp(-0.5 * (offset / width) ** 2))
profile = cube.at(np.linspace(4e3, 8e3, 300))
light = profile(np.arange(30)[:, None], 14 + 2 * np.linspace(0, 1, 300))
ax = plt.figure(figsize=(7, 3)).add_subplot()
shown = ax.imshow(light, origin="lower", aspect="auto")
plt.colorbar(shown, label="share of the light")
ax.set(xlabel="x (pixel), blue to red", ylabel="y (pixel)")
