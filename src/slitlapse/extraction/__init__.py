"""
How many photons come from the star?

**The question.** A frame holds a band of starlight on top of sky and noise. How many electrons
did the star make at each wavelength, how sure are we, and where does the doubt come from?

**In plain words.** Either draw an aperture around the star and count (boxcar), or ask every pixel
how bright the star must be to explain it and average the answers, each with the weight it deserves
(optimal). Both follow the star as it drifts and breathes with the seeing; a pixel that is bad gets
no vote, and the profile says how much light it would have held. Every source of noise is counted
by itself.

**Forward.** `RowWindow` cuts the rows around the star. `BoxcarExtract` (`boxcar_sums`) sums with
sub-pixel edges split by the profile; `ProfileExtract` (`optimal_sums`) fits one or several
blended stars. `PixelNoise` describes the pixels, `NoiseBudget` the result;
`scintillation_fraction` is told apart. `EmpiricalProfile` builds a profile from the night's own
frames, `ProfileCube` takes one from a model of the telescope. `TemporalOutliers` marks what only
one exposure saw, `find_single_frame_outliers` what is too sharp on a lone frame.
`measure_diagnostics` writes down the rest.

**Backward.** `slitlapse.extraction.simulate` puts a star on the detector from its spectrum and its
profile, with photons, hits and hot pixels.

**How do we know?** ``tests/extraction`` puts known stars on a detector and asks for them back:
bias, pulls and the Cramer-Rao bound from 100 to a million electrons per column, blends, drift,
seeing, bad pixels and cosmic rays; and compares with a published reduction of real frames.
"""

from slitlapse._upstream import prefer
from slitlapse.extraction.boxcar import BoxcarExtract, BoxcarSums, aperture_weights, boxcar_sums
from slitlapse.extraction.cutout import RowWindow
from slitlapse.extraction.diagnostics import diagnostic_arrays, measure_diagnostics
from slitlapse.extraction.noise_budget import NoiseBudget, scintillation_fraction
from slitlapse.extraction.optimal import OptimalSums, ProfileExtract, optimal_sums
from slitlapse.extraction.pixel_noise import PixelNoise
from slitlapse.extraction.profile_cube import ProfileCube
from slitlapse.extraction.profiles import (
    EmpiricalProfile,
    gaussian_profile,
    model_profile,
    moffat_profile,
)
from slitlapse.extraction.single_frame_outliers import find_single_frame_outliers
from slitlapse.extraction.temporal_outliers import TemporalOutliers

# upstream's extraction takes upstream's noise, profiles and windows
(
    NoiseBudget,
    OptimalSums,
    PixelNoise,
    ProfileExtract,
    RowWindow,
    EmpiricalProfile,
    gaussian_profile,
    model_profile,
    moffat_profile,
    optimal_sums,
    scintillation_fraction,
) = prefer(
    (
        "specreduce.profile_extract",
        "specreduce.noise_budget",
        "specreduce.pixel_noise",
        "specreduce.row_window",
        "specreduce.spatial_profiles",
    ),
    NoiseBudget,
    OptimalSums,
    PixelNoise,
    ProfileExtract,
    RowWindow,
    EmpiricalProfile,
    gaussian_profile,
    model_profile,
    moffat_profile,
    optimal_sums,
    scintillation_fraction,
)

__all__ = [
    "BoxcarExtract",
    "BoxcarSums",
    "EmpiricalProfile",
    "NoiseBudget",
    "OptimalSums",
    "PixelNoise",
    "ProfileCube",
    "ProfileExtract",
    "RowWindow",
    "TemporalOutliers",
    "aperture_weights",
    "boxcar_sums",
    "diagnostic_arrays",
    "find_single_frame_outliers",
    "gaussian_profile",
    "measure_diagnostics",
    "model_profile",
    "moffat_profile",
    "optimal_sums",
    "scintillation_fraction",
]
