import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np

from slitlapse.wavelength import resample_flux

wave = 5000 + 1.3 * np.arange(200)
flux = 1000 * (1 - 0.5 * np.exp(-0.5 * ((wave - 5130) / 4) ** 2))
edges = np.linspace(5010, 5250, 161) * u.AA
bins = resample_flux(flux, wave * u.AA, edges, uncertainty=np.sqrt(flux))
middle = (edges[1:] + edges[:-1]).value / 2
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(wave, flux / 1.3, "k.", ms=4, label="pixels, per Å")
left.step(middle, bins.flux[0] / 1.5, where="mid", label="bins, per Å")
left.set(xlim=(5100, 5160), xlabel="wavelength (Å)", ylabel="electron per Å")
left.legend(fontsize=8)
right.plot(middle, bins.covariance[0, :, 1] / bins.covariance[0, :, 0])
right.set(xlabel="wavelength (Å)", ylabel="correlation of neighbours", ylim=(0, 0.5))
