import matplotlib.pyplot as plt
import numpy as np

from slitlapse.photons import Amplifier, MaskBits, to_electrons, to_raw

chip = [Amplifier("[1:80,1:40]", "[81:100,1:40]", gain=1.5, read_noise=4.0)]
light = np.full((40, 80), 500.0)
light[18:22, 30:50] = 200_000.0  # far too bright
light[5, 60] = np.nan
raw = to_raw(np.nan_to_num(light), chip, rng=np.random.default_rng(1))
raw.data = np.where(np.isnan(np.pad(light, ((0, 0), (0, 20)))), np.nan, raw.data)
frame = to_electrons(raw, chip, saturation=65535, bad_sections=["[11:12,1:40]"])
ax = plt.figure(figsize=(7, 3)).add_subplot()
for name, colour in (
    ("saturated", "tab:red"),
    ("not_finite", "tab:purple"),
    ("bad_section", "0.5"),
):
    y, x = np.nonzero(frame.flags & getattr(MaskBits, name))
    ax.plot(
        x, y, "s", ms=4, color=colour, label=f"{name} = {int(getattr(MaskBits, name))}"
    )
ax.set(xlim=(-0.5, 79.5), ylim=(-0.5, 39.5), xlabel="x (pixel)", ylabel="y (pixel)")
ax.legend(loc="upper right", title="why a pixel is masked")
