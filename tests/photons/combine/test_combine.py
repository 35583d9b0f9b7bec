"""Master frames: what many frames agree on."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from slitlapse.photons.combine import combine_frames


def frames(n, rng, shape=(60, 80), sigma=5.0, uncertainty=True):
    """Frames of a ramp with Gaussian noise."""
    truth = np.linspace(100, 200, shape[1]) * np.ones(shape)
    out = []
    for _ in range(n):
        error = StdDevUncertainty(np.full(shape, sigma)) if uncertainty else None
        out.append(CCDData(truth + rng.normal(0, sigma, shape), unit=u.adu, uncertainty=error))
    return truth, out


@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize("uncertainty", [True, False])
@pytest.mark.parametrize("n", [3, 4, 7, 12])
def test_the_uncertainty_is_the_true_error(method, uncertainty, n):
    truth, stack = frames(n, np.random.default_rng(n), uncertainty=uncertainty)
    master = combine_frames(stack, method=method)
    pull = (master.data - truth) / master.uncertainty.array
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    # without uncertainties the noise itself is known only as well as the pixels tell
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size) + (0 if uncertainty else 0.02)


def test_a_hit_is_rejected_and_counted():
    truth, stack = frames(5, np.random.default_rng(1))
    stack[2].data[10, 20] += 10000
    master = combine_frames(stack)
    assert abs(master.data[10, 20] - truth[10, 20]) < 5 * 5 / np.sqrt(4)
    assert master.uncertainty.array[10, 20] == pytest.approx(5 / np.sqrt(4))
    assert master.meta["NREJECT"] >= 1


def test_masked_in_all_frames_is_masked_in_the_master():
    _, stack = frames(3, np.random.default_rng(1))
    for frame in stack:
        frame.mask = np.zeros(frame.data.shape, bool)
        frame.mask[3, 4] = True
    stack[0].mask[5, 6] = True
    master = combine_frames(stack)
    assert np.argwhere(master.mask).tolist() == [[3, 4]]
    assert master.uncertainty.array[5, 6] == pytest.approx(5 / np.sqrt(2))


def test_paths_callables_and_frames_give_the_same_in_little_memory(tmp_path):
    _, stack = frames(4, np.random.default_rng(1), uncertainty=False)
    paths = [tmp_path / f"{i}.fits" for i in range(4)]
    for frame, path in zip(stack, paths, strict=True):
        frame.write(path)
    master = combine_frames(stack)
    for other in (paths, [lambda frame=frame: frame for frame in stack]):
        again = combine_frames(other)
        assert np.array_equal(master.data, again.data)


def test_different_sizes_units_and_gains_are_refused():
    _, stack = frames(3, np.random.default_rng(1))
    with pytest.raises(ValueError, match="one size and binning"):
        combine_frames([*stack, CCDData(np.ones((3, 4)), unit=u.adu)])
    with pytest.raises(ValueError, match="one unit"):
        combine_frames([*stack, CCDData(stack[0].data, unit=u.electron)])
    stack[0].meta["AMPGAI1"], stack[1].meta["AMPGAI1"] = 1.2, 1.3
    with pytest.raises(ValueError, match=r"gain of 1\.3"):
        combine_frames(stack)
    with pytest.raises(ValueError, match="list is empty"):
        combine_frames([])


def test_a_frame_of_another_lamp_is_named_and_refused():
    _, stack = frames(5, np.random.default_rng(1))
    stack[3].data *= np.linspace(0.5, 1.5, 80)
    with pytest.raises(ValueError, match=r"Frame 3 disagrees with the others in \d+ %"):
        combine_frames(stack, scale=np.nanmedian)
    assert combine_frames(stack, max_rejected=None).meta["NREJECT"] > 1000


def test_a_saturated_flat_among_good_ones_is_refused():
    _, stack = frames(4, np.random.default_rng(1))
    stack[1].mask = stack[1].data > 120
    with pytest.raises(ValueError, match="Frame 1 disagrees"):
        combine_frames(stack)


@pytest.mark.parametrize("n", [2, 3, 6])
def test_a_flat_that_reached_the_end_of_the_scale_is_refused_even_if_nothing_masks_it(n):
    rng = np.random.default_rng(1)
    lamp = np.linspace(20000, 60000, 80) * np.ones((60, 80))
    stack = [rng.poisson(lamp).astype(float) for _ in range(n)]
    stack[-1] = np.minimum(rng.poisson(1.5 * lamp), 65535.0)
    flats = [
        CCDData(flat, unit=u.electron, uncertainty=StdDevUncertainty(np.sqrt(flat)))
        for flat in stack
    ]
    words = "The two frames disagree" if n == 2 else f"Frame {n - 1} disagrees"
    with pytest.raises(ValueError, match=words + ".*saturated.*Leave it out"):
        combine_frames(flats, scale=np.nanmedian)
    combine_frames(flats[:-1], scale=np.nanmedian)


def test_two_flats_alike_but_for_the_brightness_of_their_lamp_are_combined():
    rng = np.random.default_rng(1)
    lamp = np.linspace(20000, 30000, 80) * np.ones((60, 80))
    flats = [
        CCDData(flat, unit=u.electron, uncertainty=StdDevUncertainty(np.sqrt(flat)))
        for flat in (rng.poisson(lamp).astype(float), rng.poisson(0.8 * lamp).astype(float))
    ]
    pull = combine_frames(flats, scale=np.nanmedian)
    expected = 0.9 * lamp
    pull = (pull.data - expected) / pull.uncertainty.array
    assert abs(pull.std() - 1) < 4 / np.sqrt(2 * pull.size) + 0.005
    with pytest.raises(ValueError, match="scale the frames to one level"):
        combine_frames(flats)


def test_darks_of_another_time_or_temperature_or_without_the_card_are_refused():
    _, stack = frames(3, np.random.default_rng(1))
    for frame in stack:
        frame.meta.update(EXPTIME=300.0, CCDTEMP=-100.0, LAMP="Ne")
    alike = {"EXPTIME": 0, "CCDTEMP": 1.0, "LAMP": 0}
    stack[1].meta["CCDTEMP"] = -100.6
    combine_frames(stack, alike=alike)
    for key, value in (("EXPTIME", 600.0), ("CCDTEMP", -90.0), ("LAMP", "Ar")):
        good = stack[2].meta[key]
        stack[2].meta[key] = value
        with pytest.raises(ValueError, match=f"Frame 2 has {key} = "):
            combine_frames(stack, alike=alike)
        stack[2].meta[key] = good
    del stack[2].meta["EXPTIME"]
    with pytest.raises(ValueError, match="frame 2 has no such card"):
        combine_frames(stack, alike=alike)


def test_reading_in_stripes_changes_nothing():
    _, stack = frames(5, np.random.default_rng(1))
    whole, stripes = combine_frames(stack), combine_frames(stack, memory_limit=20000)
    assert np.array_equal(whole.data, stripes.data)
    assert np.array_equal(whole.uncertainty.array, stripes.uncertainty.array)


def test_a_function_that_makes_a_frame_is_called_once_if_memory_allows():
    calls = []
    _, stack = frames(4, np.random.default_rng(1))

    def make(number):
        calls.append(number)
        return stack[number]

    loaders = [lambda number=number: make(number) for number in range(4)]
    master = combine_frames(loaders, scale=np.nanmedian)
    assert calls == [0, 1, 2, 3]
    again = combine_frames(stack, scale=np.nanmedian)
    assert np.array_equal(master.data, again.data)


def test_a_gain_on_record_in_only_one_frame_is_refused():
    _, stack = frames(3, np.random.default_rng(1))
    for number, words in ((0, "gain of no record, the first with 1.2"), (1, "gain of 1.2.*no rec")):
        stack[number].meta["AMPGAI1"] = 1.2
        with pytest.raises(ValueError, match=words):
            combine_frames(stack)
        del stack[number].meta["AMPGAI1"]
