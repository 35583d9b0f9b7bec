"""Does every built-in instrument give back a night of its own? Full frames, two exposures.

Run with ``python tests/benchmarks/bench_instruments.py [NAME ...]``: simulates a night through
the instrument's amplifiers, sections and cards, reduces it with what stands in its file, and
prints, for each star, the pulls of the flux (median and standard deviation; 0 and 1 are right)
and the error of the wavelengths (rms, pixels). ``--quick`` is the smallest, to see that it runs.

With ``--real`` it logs and calibrates the real nights below ``$SLITLAPSE_DATA`` instead, and
prints gain and read noise as measured here, beside what a quick look at the same frames gave
(flat-pair variances and robust scatters, from the READMEs of the data), and the sensitivities of
single flats against each other: standard deviation of their difference over their photon noise.
"""

import itertools
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from astropy.stats import sigma_clip

from slitlapse.automation import read_night, reduce_night, simulate_night
from slitlapse.automation.calibration import make_calibration
from slitlapse.automation.frames import FrameDoor
from slitlapse.automation.log import choose_frames, log_night
from slitlapse.flats import find_illuminated, fit_pixel_sensitivity
from slitlapse.instruments import list_instruments, load_instrument
from slitlapse.photons import measure_gain, measure_read_noise

# folder, object, and what a quick look found for each amplifier: electron/adu, electron, and on
# what; None where there was nothing to measure it on. Robust scatters of whole adu are multiples of
# 1.48 (pairs: 1.05): Goodman's 3.1 and SPRAT's 3.0 adu are 3.6 and 2.5 as standard deviations.
REAL = {
    "kast_blue": ("lick_kast_blue_2015", "J1217p3905", (1.21, 1.25), (3.5, 3.4), "biases"),
    "goodman_930": ("soar_goodman_2018", "*", (1.32,), (4.1,), "biases"),
    "efosc2": ("ntt_efosc2_2022", "*J061856*", (1.20,), (12.6,), "biases"),
    "dbsp_blue": ("p200_dbsp_blue_2020", "*", (None,), (3.2,), "overscan"),
    "floyds_blue": ("lco_floyds_2020", "*", (None,), (3.45,), "overscan"),
    "floyds_red": ("lco_floyds_2020", "*", (None,), (3.45,), "overscan"),
    "sprat": ("lt_sprat_2018", "LHS6328", (None,), (7.35,), "overscan"),
    "st7": ("toronto_st7_2019", None, (None,), (None,), "biases"),
}


def check(name, folder, seed=1):
    """Simulate, reduce, and yield a line of figures for each star."""
    begin = time.process_time()
    truth = simulate_night(
        folder, instrument=load_instrument(name), rng=np.random.default_rng(seed),
        n_exposures=2, n_calibrations=3,
    )  # fmt: skip
    simulated = time.process_time()
    result = reduce_night(read_night(truth.night_file))
    reduced = time.process_time()
    for star in truth.stars:
        series = result.series[star.name]
        flux = truth.flux(star.name) * series.fluxlike["enclosed"].value
        pulls = ((series.flux.value - flux) / series.uncertainty.value)[~series.mask]
        line = f"{name:14s} {star.name:12s} {truth.scene.shape[1]:5d} x {truth.scene.shape[0]:4d}"
        line += f"  pulls {np.median(pulls):+.3f} {pulls.std():.3f}"
        line += f"  beyond 5 sigma {np.mean(np.abs(pulls) > 5):.1e}"
        if series.wavelength.unit.is_equivalent("angstrom"):
            true = truth.scene.star_solution(star)
            wrong = (series.wavelength - true.wavelength) / np.gradient(true.wavelength)
            line += f"  wavelength {np.sqrt(np.mean(wrong.value**2)):.3f} px"
        else:
            line += "  no wavelengths"
        yield line + f"  ({simulated - begin:.0f} + {reduced - simulated:.0f} s)"
    for note in result.notes:
        yield f"{'':14s} note: {note}"


def check_real(name, folder):
    """Log and calibrate a real night, and yield lines of figures."""
    data, object_name, gains, noises, where = REAL[name]
    (folder / "raw").symlink_to(Path(os.environ["SLITLAPSE_DATA"]) / data)
    text = [f'instrument = "{name}"', 'data = "raw"', 'output = "reduced"']
    if name == "st7":  # no overscan: darks of the same exposure time stand for the bias
        text += ["[frames]", 'bias = "Dark*"', 'arc = "Neon*"', 'science = "*Spec*"']
    text += [] if object_name is None else [f'object = "{object_name}"']
    (folder / "night.toml").write_text("\n".join(text))
    start = time.process_time()
    night = read_night(folder / "night.toml")
    log = log_night(night)
    chosen = choose_frames(log, night)
    logged = time.process_time()
    calibration = make_calibration(night, chosen)
    science = calibration.door.electrons(chosen["science"]["filename"][0], "science")
    spent = f"log {logged - start:.1f} s, calibration {time.process_time() - logged:.1f} s"
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(map(str, log["kind"])).items())
    yield f"{name:12s} {kinds} ({spent})"
    flagged = np.mean(science.flags > 0)
    yield f"{'':12s} {science.shape[1]} x {science.shape[0]}, flagged {flagged:.4f}"
    raw = FrameDoor(night.instrument, night.data, shape=chosen.shape)
    found = measure(raw, chosen, log, where)
    for number, (gain, noise, wanted, expected) in enumerate(
        zip(*found, gains, noises, strict=True)
    ):
        yield (
            f"{'':12s} amplifier {number + 1}: gain {beside(gain, wanted)}, "
            f"read noise {beside(noise, expected)} (from the {where})"
        )
    for line in compare_flats(calibration.door, log[log["kind"] == "flat"]):
        yield f"{'':12s} {line}"
    for note in (*chosen.notes, *calibration.notes):
        yield f"{'':12s} note: {note}"


def beside(found, wanted):
    """A figure beside the one wanted."""
    if found is None:
        return "not to be measured"
    if wanted is None:
        return f"{found:.3f}"
    return f"{found:.3f} / {wanted:.3f} = {found / wanted:.2f}"


def measure(door, chosen, log, where):
    """Gain and read noise of every amplifier, from frames of equal exposure."""
    biases = [door.raw(name)[0] for name in chosen["bias"]["filename"]]
    flats = chosen["flat"]["filename"]
    _, amplifiers = door.raw(chosen["science"]["filename"][0])
    saturation = door.instrument.saturation.value
    gains = [None] * len(amplifiers)
    if len(flats) > 1:
        flats = [door.raw(name)[0] for name in flats[: len(flats) // 2 * 2]]
        options = {"biases": biases, "saturation": saturation}
        gains = [each.value.value for each in measure_gain(flats, amplifiers, **options)]
    noises = [None] * len(amplifiers)
    if where == "overscan":
        image = door.raw(chosen["science"]["filename"][0])[0].data
        noises = []
        for amplifier in amplifiers:
            part = image[amplifier.overscan].astype(float)
            # differences along the longer side know nothing of levels that drift; a median of
            # whole numbers would be off by up to a sixth
            steps = sigma_clip(np.diff(part, axis=int(part.shape[1] > 4)), 5)
            noises.append(steps.std() / np.sqrt(2) * amplifier.gain.value)
    elif len(biases) > 1:
        noises = [each.sigma.value for each in measure_read_noise(biases, amplifiers)]
    return gains, noises


def compare_flats(door, log):
    """Sensitivities of single flats through one slit, pair by pair."""
    names = [name for name in log["filename"] if name]
    if len(names) < 2:
        return
    slit = Counter(map(str, log["slit"])).most_common(1)[0][0]
    names = [row["filename"] for row in log if str(row["slit"]) == slit][:3]
    bare = door.with_(sensitivity=None)
    flats = [bare.electrons(name, "flat") for name in names]
    region = find_illuminated(flats[0]).shrink(2)
    found = [fit_pixel_sensitivity(flat, region, min_signal=300) for flat in flats]
    for (i, one), (j, two) in itertools.combinations(enumerate(found), 2):
        good = ~one.mask & ~two.mask
        noise = np.hypot(one.uncertainty, two.uncertainty)[good]
        pull = (one.sensitivity - two.sensitivity)[good] / noise
        robust = 1.4826 * np.median(np.abs(pull - np.median(pull)))
        yield f"flats {names[i]} and {names[j]}: {pull.std():.3f} (robust {robust:.3f})"


def real(names):
    """Check the real nights named, or all."""
    for name in names if names else REAL:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for line in check_real(name, Path(folder)):
                print(line, flush=True)


def main(names):
    """Check the instruments named, or all."""
    for name in names if names else list_instruments():
        with tempfile.TemporaryDirectory() as folder:
            try:
                for line in check(name, Path(folder)):
                    print(line, flush=True)
            except ValueError as error:
                print(f"{name:14s} fails: {error}", flush=True)


if __name__ == "__main__":
    if "--real" in sys.argv:
        real([name for name in sys.argv[1:] if name != "--real"])
    else:
        main(["toy" if name == "--quick" else name for name in sys.argv[1:]])
