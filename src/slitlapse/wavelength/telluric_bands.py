"""Where does the Earth's own atmosphere absorb, so that a star's lines should be left alone?"""

import astropy.units as u
import numpy as np

__all__ = ["telluric_mask"]

TELLURIC_BANDS = (  # vacuum or air does not matter at this width, angstrom: O2 and H2O
    (5880, 5980), (6270, 6330), (6460, 6580), (6860, 6970), (7155, 7400), (7585, 7710),
    (8090, 8410), (8920, 9860), (10800, 12000),
)  # fmt: skip


def telluric_mask(wavelength, *, bands=TELLURIC_BANDS):
    """
    True where the Earth's atmosphere absorbs in bands (O2 and H2O), so where a star's own shift
    should not be measured, and the shift of the air's should.

    Parameters
    ----------
    wavelength : array-like or `~astropy.units.Quantity`
        Plain numbers are angstrom.
    bands : sequence of (low, high)
        Angstrom.
    """
    wave = u.Quantity(wavelength, u.AA).value
    return np.any([(wave >= low) & (wave <= high) for low, high in bands], axis=0)
