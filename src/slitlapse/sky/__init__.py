"""
How many photons come from the sky?

The question
------------
Sky light falls on the star's pixels, too. How much of what lies under the star is sky?
"""

from .polynomial_background import ColumnFit, PolynomialBackground, fit_columns
from .sky_windows import SkyWindows, SkyWindowWarning
from .spline_sky import IlluminationWarning, SkyGeometry, SplineFit, SplineSky, TiltWarning

__all__ = [
    "ColumnFit",
    "IlluminationWarning",
    "PolynomialBackground",
    "SkyGeometry",
    "SkyWindowWarning",
    "SkyWindows",
    "SplineFit",
    "SplineSky",
    "TiltWarning",
    "fit_columns",
]
