"""
The question: **How sensitive are the detector pixels?**

In plain words
--------------
Two pixels that get the same light do not report the same number: one may be 2 % more sensitive
than its neighbour. A flat is a picture of a lamp that shines evenly. The lamp's colour and the
slit's shape are smooth; divide by a smooth curve, and what is left belongs to the pixels.

Forward
-------
`find_odd_flats` names the flats of a set that are saturated or of another lamp.
`find_illuminated` finds what the slit lights; `fit_pixel_sensitivity` divides a combined flat by
a smooth model of the light and returns a `PixelSensitivity` with the flat's own uncertainty.

Backward
--------
`make_sensitivity` and `make_lamp_image` invent a detector and a lamp;
`PixelSensitivity.simulate` draws the flat that a sensitivity believes in.

How do we know?
---------------
`plot_flat_steps` shows flat, smooth part and sensitivity. In tests the sensitivity
that went into simulated flats comes back at their photon noise.
"""

from .explain import plot_flat_steps
from .illuminated import IlluminatedRegion, find_illuminated
from .odd_flats import find_odd_flats
from .pixel_sensitivity import PixelSensitivity, fit_pixel_sensitivity
from .simulate import make_lamp_image, make_sensitivity

__all__ = [
    "IlluminatedRegion",
    "PixelSensitivity",
    "find_illuminated",
    "find_odd_flats",
    "fit_pixel_sensitivity",
    "make_lamp_image",
    "make_sensitivity",
    "plot_flat_steps",
]
