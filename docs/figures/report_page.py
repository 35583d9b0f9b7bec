import matplotlib.pyplot as plt
import numpy as np

from slitlapse.look import ReportPage

fig, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
ax.plot(np.random.default_rng(1).normal(1, 0.01, 60), "o", ms=3)
ax.set(xlabel="exposure", ylabel="target / comparison")
page = ReportPage("A night")
page.add_section("How bright was the star?").add_figure(fig, "Its light, divided.")
html = (
    page.to_html()
)  # one file with this picture inside, nothing loaded from elsewhere
