"""One simulated night, written and reduced once, that many tests look at."""

from dataclasses import dataclass

import numpy as np
import pytest

from slitlapse.automation import NightResult, SimulatedNight, read_night, reduce_night
from slitlapse.automation.calibration import make_calibration
from slitlapse.automation.log import choose_frames, log_night
from slitlapse.automation.simulate import simulate_night
from slitlapse.instruments import load_instrument


@dataclass(frozen=True)
class ToyNight:
    """The truth, the night file, and what the reduction found."""

    truth: SimulatedNight
    night: object
    result: NightResult
    log: object
    chosen: object
    calibration: object


@pytest.fixture(scope="session")
def toy_night(tmp_path_factory):
    """Twelve exposures of two stars on the toy spectrograph, reduced."""
    folder = tmp_path_factory.mktemp("toy")
    truth = simulate_night(
        folder, instrument=load_instrument("toy"), rng=np.random.default_rng(7), n_exposures=12
    )
    night = read_night(truth.night_file)
    log = log_night(night)
    chosen = choose_frames(log, night)
    calibration = make_calibration(night, chosen)
    return ToyNight(truth, night, reduce_night(night), log, chosen, calibration)
