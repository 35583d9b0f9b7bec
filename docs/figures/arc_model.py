import matplotlib.pyplot as plt
import numpy as np

from slitlapse.wavelength import ArcSpectrum, model_arcs

rng = np.random.default_rng(3)
x, fwhm = np.arange(500), 4.0
listed = np.sort(rng.uniform(5, 495, 220))  # by the curve so far; nearly all are blends
put_in = 0.3 + 0.2 * (2 * listed / 499 - 1)
expected = 3000.0 * 10 ** rng.uniform(-2, 0, listed.size)
shape = np.exp(-0.5 * ((x[:, None] - listed - put_in) / (fwhm / 2.3548)) ** 2)
seen = shape @ (expected * rng.lognormal(0, 0.5, listed.size)) / 4.3 + 100
noise = np.sqrt(seen)
arc = ArcSpectrum(rng.normal(seen, noise), noise, listed, expected)
model = model_arcs([arc], fwhm=fwhm)  # an ArcModel
fig, (top, bottom) = plt.subplots(
    2, 1, figsize=(8, 5), sharex=True, layout="constrained"
)
top.plot(x, arc.flux, "k.", ms=2, label="arc")
top.plot(x, model.fluxes[0], lw=0.8, label="model")
top.set(ylabel="electron")
top.legend(markerscale=4)
bottom.plot(listed, put_in, "k:", label="put in")
found = model.at(x, x.size)
basis = np.polynomial.legendre.legvander(2 * x / 499 - 1, 3)
error = np.sqrt(np.einsum("ij,jk,ik->i", basis, model.covariance, basis))
bottom.plot(x, found, label="found")
bottom.fill_between(x, found - error, found + error, alpha=0.3)
bottom.set(xlabel="pixel", ylabel="displacement (pixel)", ylim=(0, 0.7))
bottom.legend()
