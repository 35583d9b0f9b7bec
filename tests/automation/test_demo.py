import re

import numpy as np
import pytest

from slitlapse.automation import read_night
from slitlapse.automation.demo import run_demo, white_depth
from slitlapse.automation.light_curves import light_curves


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "night"


def test_the_demo_finds_the_transit_that_it_put_in(folder, capsys):
    run_demo(folder, n_exposures=8, seed=3)
    said = capsys.readouterr().out
    true = float(re.search(r"transit put in: +([\d.]+) %", said)[1])
    found, error = map(float, re.search(r"found: +([\d.]+) \+- ([\d.]+) %", said).groups())
    assert abs(found - true) < 4 * error and error < 0.1 * true
    assert (folder / "reduced" / "report" / "index.html").exists()
    assert "report: " in said and read_night(folder / "night.toml").data.is_dir()


def test_the_depth_is_judged_by_its_own_error(toy_night):
    target, comparison = (toy_night.result.series[star.name] for star in toy_night.truth.stars)
    depth, error = white_depth(light_curves(target, [comparison]), toy_night.truth)
    assert abs(depth - toy_night.truth.stars[0].depth) < 4 * error
    # photon noise of two stars, of twelve exposures: no better, and not much worse
    both = [np.nansum(np.where(s.mask, 0, s.flux.value)) for s in (target, comparison)]
    bound = np.sqrt(sum(4 / each for each in both))
    assert bound < error < 3 * bound


@pytest.mark.parametrize("n", [0, 4])
def test_too_few_exposures_are_refused(tmp_path, n):
    with pytest.raises(ValueError, match="a transit needs 5 exposures or more"):
        run_demo(tmp_path / "new", n_exposures=n)
    assert not (tmp_path / "new").exists()


def test_what_is_not_a_simulated_night_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="is not a simulated night"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
