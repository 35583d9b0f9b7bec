"""
From raw spectrograph frames to wavelength-calibrated time-series spectra of several stars.

The package is a house whose rooms are named after the questions an observer asks, in order:

============================  =====================================================
room                          the question
============================  =====================================================
`slitlapse.observing_log`     What data did we gather?
`slitlapse.photons`           How many photons did the detector record?
`slitlapse.flats`             How sensitive are the detector pixels?
`slitlapse.trace`             How is a star's light positioned?
`slitlapse.sky`               How many photons come from the sky?
`slitlapse.extraction`        How many photons come from the star?
`slitlapse.wavelength`        How do pixels relate to wavelengths?
`slitlapse.automation`        How do we automate for many exposures?
============================  =====================================================

`slitlapse.instruments` holds what differs between telescopes, and `slitlapse.look` the
eyes that all rooms share. Nothing is imported here: take the room you need.
"""

__version__ = "0.1.0"
