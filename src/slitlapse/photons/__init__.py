"""
The question: **How many photons did the detector record?**

In plain words
--------------
A CCD pixel that caught light holds electrons. Reading it out adds a constant level (so that
numbers stay positive), a little noise, and divides by a gain; the file has the rounded result
in adu. To get the electrons back we measure the level where no light fell (the overscan, and
bias frames), cut that region off, and multiply by the gain. We keep, pixel by pixel, how
uncertain the result is and why a pixel may not be trusted.

Forward
-------
`to_electrons` is the whole chain for one frame, one call per line: `flag_raw`,
`process_amplifiers` (with an `Amplifier` per read-out), `DarkCurrent`. `combine_frames` makes
master frames, `measure_read_noise` and `measure_gain` measure what headers only claim,
`overscan_statistics` tells how the level behaved, `find_hot_pixels` and `find_dead_pixels` what
to mask. `turn` makes wavelength run along axis 1.

Backward
--------
`to_raw` takes expected electrons to the frame that the detector would have written, with any
amplifiers; `simulate_bias`, `simulate_dark` and `simulate_flat` use it.

How do we know?
---------------
`plot_pixel_scatter` compares the scatter of pixels over a series with the uncertainty we
claim; `ReadNoise.plot` shows bias pixels under the Gaussian of the measured read noise,
`Gain.plot` the photon transfer curve; `flip_biases`, `plot_bias_frames`, `plot_master` and
`DarkCurrent.plot` show calibration frames. Tests go from electrons to adu and back.
"""

import astropy.units as u

from slitlapse._upstream import prefer

from .amplifier import Amplifier, LitOverscanError, OverscanLevel
from .bad_pixels import (
    MaskBits,
    find_dead_pixels,
    find_hot_pixels,
    flag_raw,
    flag_where,
    repair,
)
from .combine import combine_frames
from .dark import DarkCurrent
from .explain import flip_biases, plot_bias_frames, plot_master, plot_pixel_scatter
from .gain import Gain, GainWarning, measure_gain
from .orientation import to_raw_pixel, turn, turn_back
from .process import gap_mask, overscan_statistics, process_amplifiers
from .read_noise import ReadNoise, ReadNoiseWarning, measure_read_noise
from .simulate import simulate_bias, simulate_dark, simulate_flat, to_raw

Amplifier, LitOverscanError, OverscanLevel, overscan_statistics, process_amplifiers = prefer(
    ("ccdproc.amplifier", "ccdproc.process_amplifiers"),
    Amplifier,
    LitOverscanError,
    OverscanLevel,
    overscan_statistics,
    process_amplifiers,
)

__all__ = [
    "Amplifier",
    "DarkCurrent",
    "Gain",
    "GainWarning",
    "LitOverscanError",
    "MaskBits",
    "OverscanLevel",
    "ReadNoise",
    "ReadNoiseWarning",
    "combine_frames",
    "find_dead_pixels",
    "find_hot_pixels",
    "flag_raw",
    "flag_where",
    "flip_biases",
    "gap_mask",
    "measure_gain",
    "measure_read_noise",
    "overscan_statistics",
    "plot_bias_frames",
    "plot_master",
    "plot_pixel_scatter",
    "process_amplifiers",
    "repair",
    "simulate_bias",
    "simulate_dark",
    "simulate_flat",
    "to_electrons",
    "to_raw",
    "to_raw_pixel",
    "turn",
    "turn_back",
]


def to_electrons(
    ccd,
    amplifiers,
    *,
    bias=None,
    dark=None,
    exposure_time=None,
    saturation=None,
    linear=None,
    bad_sections=(),
    overscan="auto",
    sigma_clip=5.0,
    uncertainty=True,
    light=True,
):
    """
    Turn one raw frame into electrons: the visible chain.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData` or sequence of them
        A raw frame in adu, or one per amplifier.
    amplifiers : sequence of `Amplifier`
    bias : `~astropy.nddata.CCDData`, optional
        Master bias in electron, see `process_amplifiers`.
    dark : `DarkCurrent`, optional
        Its hot pixels are flagged.
    exposure_time : `~astropy.units.Quantity`, optional
        Of this frame, needed with ``dark``.
    saturation, linear, bad_sections
        See `flag_raw`: judged on the raw adu, before anything else.
    overscan, sigma_clip, uncertainty, light
        See `process_amplifiers`; ``light=False`` for bias frames.

    Returns
    -------
    `~astropy.nddata.CCDData`, shape (n_y, n_x)
        In electron, with ``mask``, ``flags`` (see `MaskBits`) and ``uncertainty``.

    Raises
    ------
    ValueError
        If there is a dark but no exposure time; see also the functions above.
    """
    limits = {"saturation": saturation, "linear": linear, "bad_sections": bad_sections}
    single = hasattr(ccd, "data")
    raw = flag_raw(ccd, **limits) if single else [flag_raw(frame, **limits) for frame in ccd]
    options = {"overscan": overscan, "sigma_clip": sigma_clip}
    frame = process_amplifiers(
        raw, amplifiers, **options, bias=bias, uncertainty=uncertainty, light=light
    )
    gaps = gap_mask(amplifiers)
    if gaps is not None:
        frame = flag_where(frame, gaps, "gap")
    if bias is not None and bias.mask is not None and bias.mask.any():
        bad = bias.mask if gaps is None else bias.mask & ~gaps
        frame = flag_where(frame, bad, "bad_calibration")
    if dark is not None:
        if exposure_time is None:
            raise ValueError("A dark grows with time: give the frame's exposure_time with it.")
        frame = dark.subtract_from(frame, u.Quantity(exposure_time, u.s))
        if dark.hot is not None:
            frame = flag_where(frame, dark.hot, "hot")
    return frame
