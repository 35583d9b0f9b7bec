import matplotlib.pyplot as plt

from slitlapse.wavelength import lamp_line_list

ax = plt.figure(figsize=(8, 3)).add_subplot()
for number, lamp in enumerate(("Hg", "Ne", "Ar")):
    lines = lamp_line_list(lamp, wavelength_range=(4000, 8000))
    wave, strength = lines["wavelength"].value, lines["strength"]
    ax.vlines(
        wave,
        number,
        number + 0.9 * (strength / strength.max()) ** 0.3,
        color=f"C{number}",
    )
    ax.text(
        3950,
        number + 0.3,
        f"{lamp}, in {lines.medium}:\n{len(lines)} lines",
        ha="right",
    )
ax.set(xlabel="wavelength (Å)", yticks=[], xlim=(3000, 8050))
