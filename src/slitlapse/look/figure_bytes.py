"""How does a figure get into a file or a page without a file in between?"""

import base64
import io

__all__ = ["figure_to_png", "png_to_uri"]


def figure_to_png(figure, *, dpi=100):
    """
    Draw a figure into PNG bytes.

    Parameters
    ----------
    figure : `~matplotlib.figure.Figure` or `~matplotlib.axes.Axes`
        What to draw; of axes, the figure they are in. It is not closed.
    dpi : float, optional
        Pixels per inch.

    Returns
    -------
    png : bytes
        The same bytes for the same figure: neither date nor version is written into them.
    """
    figure = getattr(figure, "figure", figure)
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
        return file.getvalue()


def png_to_uri(png):
    """
    Turn PNG bytes into a ``data:`` address that a page can hold in itself.

    Parameters
    ----------
    png : bytes
        A PNG file.

    Returns
    -------
    uri : str
        ``data:image/png;base64,...``

    Raises
    ------
    ValueError
        If the bytes are no PNG file.
    """
    if not png.startswith(b"\x89PNG\r\n"):
        raise ValueError(f"Expected the bytes of a PNG file, but they start with {png[:8]!r}.")
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
