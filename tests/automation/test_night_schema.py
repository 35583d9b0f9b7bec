import tomllib

import pytest

from slitlapse.automation.night_schema import NightFileError, check_night

GOOD = {"data": "raw", "instrument": "toy", "output": "reduced"}


def test_the_smallest_file_is_enough():
    check_night(GOOD, "night.toml")


def test_everything_the_design_shows_is_allowed():
    text = """
    data = "raw"
    instrument = "kosmos"
    output = "reduced"
    object = "TOI-3884"
    [target]
    ra = "12:06:17"
    dec = "+12:30:25"
    [stars]
    target = 412.0
    comparison = { "*_nodA*" = 188.0, "*_nodB*" = 214.5 }
    [frames]
    science = "toi3884.*.fits"
    arc = ["neon.*.fits", "argon.*.fits"]
    flat = []
    [lamps]
    "neon.*" = ["Ne"]
    [sky]
    method = "tilted"
    windows = [[-60, -20], [20, 60]]
    [extraction]
    method = "boxcar"
    widths = [8, 12, 16]
    hits = "time"
    [wavelength]
    degree = 4
    arcs = "nearest"
    """
    check_night(tomllib.loads(text), "night.toml")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"intrument": "toy"}, "unknown key 'intrument'; did you mean 'instrument'"),
        ({"sky": {"methode": "tilted"}}, r"\[sky\] unknown key 'methode'; did you mean 'method'"),
        ({"sky": {"method": "spline"}}, 'one of "tilted", "polynomial", "median"'),
        ({"sky": "tilted"}, r"\[sky\] must be a table"),
        ({"sky": {"windows": [[20, -20]]}}, "from < to"),
        ({"extraction": {"widths": [8, -1]}}, "above 0"),
        ({"extraction": {"widths": 8}}, "list of full widths"),
        ({"extraction": {"hits": True}}, r'hits must be one of "frame", "time", but found True'),
        ({"stars": {"A": "left"}}, r"\[stars\] A must be a position"),
        ({"stars": {"A": True}}, r"\[stars\] A must be a position"),
        ({"wavelength": {"degree": 40}}, "whole number from 1 to 9"),
        ({"frames": {"science": [1]}}, "pattern or a list"),
        ({"frames": {"scince": "a"}}, "did you mean 'science'"),
        ({"lamps": {"neon*": "Ne"}}, "list of lamp names"),
        ({"target": {"ra": 1.0}}, "needs both ra and dec"),
        ({"data": 7}, "data must be a text"),
    ],
)
def test_a_mistake_is_named_with_its_file_key_and_remedy(change, words):
    with pytest.raises(NightFileError, match=words) as caught:
        check_night(GOOD | change, "some/night.toml")
    assert str(caught.value).startswith("some/night.toml: ")


@pytest.mark.parametrize("key", GOOD)
def test_what_is_required_is_asked_for(key):
    with pytest.raises(NightFileError, match=f"'{key}' is missing"):
        check_night({k: v for k, v in GOOD.items() if k != key}, "night.toml")
