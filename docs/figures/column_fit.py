import matplotlib.pyplot as plt
import numpy as np

from slitlapse.sky import fit_columns

rng = np.random.default_rng(4)
rows = np.arange(100)
data = rng.poisson(60 + 0.5 * rows[:, None] * np.ones(40)).astype(float)
data[20, 7] += 120  # a cosmic ray
sky = np.tile((np.abs(rows - 50) > 12)[:, None], 40)
fit = fit_columns(data, sky, 16.0, degree=1)  # a ColumnFit
model, error = fit.evaluate(rows)[:, 7], np.sqrt(fit.variance(rows)[:, 7])
ax = plt.figure(figsize=(7, 3.4)).add_subplot()
used = fit.used[:, 7]
ax.plot(rows[used], data[used, 7], ".", label="sky pixels of column 7")
ax.plot(rows[sky[:, 7] & ~used], data[sky[:, 7] & ~used, 7], "rx", label="rejected")
ax.plot(rows, model, color="C1", label="fit, known to 1 sigma in the band")
ax.fill_between(rows, model - error, model + error, color="C1", alpha=0.4)
ax.set(xlabel="y (pixel)", ylabel="electron", ylim=(30, 220))
ax.legend()
