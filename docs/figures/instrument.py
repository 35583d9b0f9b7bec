import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from slitlapse.instruments import load_instrument

kast = load_instrument("kast_blue")
amplifiers = kast.amplifiers_for(kast.example_headers[0])
ax = plt.figure(figsize=(8, 2.4)).add_subplot()
for number, amplifier in enumerate(amplifiers):
    for part, hatch in (("data", None), ("overscan", "////")):
        rows, columns = getattr(amplifier, part)
        width, height = columns.stop - columns.start, rows.stop - rows.start
        corner = (columns.start - 0.5, rows.start - 0.5)
        ax.add_patch(
            Rectangle(
                corner, width, height, fc=f"C{number}", alpha=0.5, hatch=hatch, ec="k"
            )
        )
    rows, columns = amplifier.data
    middle = (columns.start + columns.stop) / 2, (rows.start + rows.stop) / 2
    ax.text(
        *middle,
        f"amplifier {number + 1}\n{amplifier.gain:.2f}",
        ha="center",
        va="center",
    )
ax.set(xlim=(-20, 2220), ylim=(-10, 360), xlabel="x (pixel)", ylabel="y (pixel)")
ax.set_title(f"{kast.name}: data, and hatched the overscan of each amplifier")
