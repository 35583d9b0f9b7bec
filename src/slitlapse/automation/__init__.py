"""
Many exposures: how do we automate what we understood on one?

**The question.** How do we automate for many exposures?
"""

from slitlapse.automation.light_curves import light_curves
from slitlapse.automation.series import SpectralTimeSeries

__all__ = ["SpectralTimeSeries", "light_curves"]
