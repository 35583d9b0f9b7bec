"""
How do we automate for many exposures?

The question
    The steps are understood on one exposure. How are they done on all of a night, every exposure
    like the next, and what do the stars say through the night?

In plain words
    A night is a folder of raw frames and one small file, ``night.toml``, that says what a person
    decided. What is the same for all exposures (noise, bias, sensitivity, where the stars lie, how
    the lines lean, where the sky is) is found once. Then one exposure after the other is opened,
    its stars are found again, the sky is taken off and the light is summed. What comes out is one
    object per star, wavelength first and time second, and a page to look at.

Forward
    `read_night` and `reduce_night` do it all; `measure_exposure` is one exposure. The result is a
    `SpectralTimeSeries` per star; `find_hits_in_time` compares its exposures with each other;
    `light_curves` divides stars, `check_comparisons` and
    `choose_aperture` say which stars and which aperture to trust, `measure_scatter` and
    `scatter_by_bin_size` compare with the noise that was expected; `night_report` writes the page.

Backward
    `simulate_night` writes the raw frames of a night whose truth is known, for any instrument.

How do we know?
    A simulated night gives back its truth: the pulls (measured minus true, over the uncertainty)
    have a standard deviation of 1, bin by bin the transit is as deep as it was made, and a run
    that was stopped goes on to the same bytes.
"""

from slitlapse.automation.comparisons import check_comparisons, choose_aperture
from slitlapse.automation.exposure import measure_exposure
from slitlapse.automation.hits_in_time import find_hits_in_time
from slitlapse.automation.light_curves import light_curves
from slitlapse.automation.log import NightError
from slitlapse.automation.night import NightResult, reduce_night
from slitlapse.automation.night_file import Night, NightFileError, read_night
from slitlapse.automation.report import night_report
from slitlapse.automation.scatter import measure_scatter, scatter_by_bin_size
from slitlapse.automation.series import SpectralTimeSeries
from slitlapse.automation.simulate import SimulatedNight, simulate_night
from slitlapse.automation.watch import watch_night

__all__ = [
    "Night",
    "NightError",
    "NightFileError",
    "NightResult",
    "SimulatedNight",
    "SpectralTimeSeries",
    "check_comparisons",
    "choose_aperture",
    "find_hits_in_time",
    "light_curves",
    "measure_exposure",
    "measure_scatter",
    "night_report",
    "read_night",
    "reduce_night",
    "scatter_by_bin_size",
    "simulate_night",
    "watch_night",
]
