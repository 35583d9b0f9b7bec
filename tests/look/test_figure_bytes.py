"""A figure as bytes, and as an address that a page can hold."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from slitlapse.look import figure_to_png, png_to_uri


@pytest.fixture
def figure():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 2))
    figure.add_subplot().plot([0, 1], [0, 1])
    return figure


def test_a_figure_becomes_a_picture_of_its_size(figure):
    with Image.open(io.BytesIO(figure_to_png(figure, dpi=50))) as picture:
        assert picture.size == (150, 100)
        assert np.ptp(np.asarray(picture.convert("L"))) > 100


def test_axes_stand_for_their_figure_and_equal_figures_give_equal_bytes(figure):
    assert figure_to_png(figure.axes[0]) == figure_to_png(figure)


def test_the_address_holds_the_picture(figure):
    png = figure_to_png(figure)
    head, _, body = png_to_uri(png).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == png


def test_other_bytes_are_refused():
    with pytest.raises(ValueError, match="Expected the bytes of a PNG file, but they start with"):
        png_to_uri(b"GIF89a")
