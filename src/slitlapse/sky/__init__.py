"""
How many photons come from the sky?

The question
------------
The sky shines on the star's pixels, too, and nobody can measure it there. What would those
pixels hold if the star were not there, and how well is that known?

In plain words
--------------
Look at the sky beside the star (`SkyWindows`), and carry it over to the star. Column by column,
a polynomial along the slit does it (`PolynomialBackground`), as long as the lines of the sky
stand upright on the detector. Mostly they are tilted and bent: the same wavelength falls on
other columns in other rows. Then every pixel gets an *effective pixel*, the column where its
wavelength lies in the middle of the slit, and all rows together sample one sky spectrum between
the pixels (`SplineSky`). The image itself is never resampled, so that its noise stays what it
was. Where the slit's illumination is known, the whole slit measures one spectrum
(`SkyGeometry.with_illumination`).

Forward
-------
`SkyWindows` and `pick_windows` choose where; `PolynomialBackground` or `SplineSky` fit (with
`fit_columns` and `SkyGeometry` for plain arrays, in a loop over exposures); `measure_sky_tilt`
finds the tilt where arcs have none; `supersampled_median` is the simple alternative. All
tell the variance of a sum over an aperture, covariance included; `column_correlations` tells
what errors in neighbouring columns have in common.

Backward
--------
`slitlapse.sky.simulate` draws a sky from a spectrum, a tilt and an illumination, integrated
over every pixel, and sets up slits with stars of which everything is known.

How do we know?
---------------
`residual_baseline` tells what is left beside each star. `slitlapse.sky.explain` draws science,
sky and difference, the map of effective pixels, and the super-sampled sky before and after
rejection. A tilt that does not fit the lines is noticed and said (`TiltWarning`).
"""

from slitlapse._upstream import prefer

from .explain import (
    plot_baseline,
    plot_effective_pixel,
    plot_sky_subtraction,
    plot_supersampled,
)
from .pick_windows import WindowPicker, pick_windows
from .polynomial_background import ColumnFit, PolynomialBackground, fit_columns
from .residual_baseline import residual_baseline
from .sky_tilt import SkyTilt, SkyTiltError, SkyTiltWarning, measure_sky_tilt
from .sky_windows import SkyWindows, SkyWindowWarning
from .spline_sky import (
    IlluminationWarning,
    SkyGeometry,
    SplineFit,
    SplineSky,
    TiltWarning,
    column_correlations,
)
from .supersampled_median import SupersampledSky, supersampled_median

ColumnFit, PolynomialBackground, fit_columns = prefer(
    "specreduce.polynomial_background", ColumnFit, PolynomialBackground, fit_columns
)
IlluminationWarning, SkyGeometry, SplineFit, SplineSky, TiltWarning, column_correlations = prefer(
    "specreduce.spline_sky",
    IlluminationWarning, SkyGeometry, SplineFit, SplineSky, TiltWarning, column_correlations,
)  # fmt: skip

__all__ = [
    "ColumnFit",
    "IlluminationWarning",
    "PolynomialBackground",
    "SkyGeometry",
    "SkyTilt",
    "SkyTiltError",
    "SkyTiltWarning",
    "SkyWindowWarning",
    "SkyWindows",
    "SplineFit",
    "SplineSky",
    "SupersampledSky",
    "TiltWarning",
    "WindowPicker",
    "column_correlations",
    "fit_columns",
    "measure_sky_tilt",
    "pick_windows",
    "plot_baseline",
    "plot_effective_pixel",
    "plot_sky_subtraction",
    "plot_supersampled",
    "residual_baseline",
    "supersampled_median",
]
