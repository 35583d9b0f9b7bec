"""
Shared eyes: one frame, many frames in order, and a page to show them on.

`show_frame` draws one well-scaled image with its units and its bad pixels; `FlipBook` shows frames
in order and saves them as a movie; `Movie` draws curves that change; `ReportPage` puts pictures,
movies, tables and words into one page that opens from disk without a network. Nothing here knows
what the pictures are of.
"""

from .figure_bytes import figure_to_png, png_to_uri
from .flipbook import FlipBook
from .frame import find_limits, show_frame
from .movie import Movie, MoviePanel
from .report_page import ReportPage

__all__ = [
    "FlipBook",
    "Movie",
    "MoviePanel",
    "ReportPage",
    "figure_to_png",
    "find_limits",
    "png_to_uri",
    "show_frame",
]
