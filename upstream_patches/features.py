"""The features: where their modules come from and go to, and their words."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Feature:
    """One feature: where its modules come from and go to, and its words."""

    package: str
    patch: str
    modules: dict  # folder or file under src/slitlapse -> the same under the package
    tests: dict  # file under tests -> name under the package's tests
    note: str
    change: str
    main: str  # what differs on the development branch
    data: dict = field(default_factory=dict)  # folder under src/slitlapse -> under the package


FEATURES = (
    Feature(
        "ccdproc",
        "0002-amplifiers",
        {"photons/amplifier": "amplifier", "photons/process.py": "process_amplifiers.py",
         "photons/simulate.py": "tests/raw_frames.py"},
        {"photons/amplifier/test_amplifier.py": "test_amplifier.py",
         "photons/amplifier/test_overscan.py": "test_amplifier_overscan.py",
         "photons/test_process.py": "test_process_amplifiers.py"},
        "Reduce frames that several amplifiers read out",
        "``Amplifier`` and ``process_amplifiers`` subtract overscan, trim and apply the gain of "
        "each amplifier of a frame.",
        "On main: every function takes xp and keeps data in its array library, so the block loops "
        "need array_api_extra in place of assignment.",
    ),
    Feature(
        "specreduce",
        "0006-profile-trace",
        {"trace/profile_trace": "profile_trace", "trace/simulate.py": "tests/star_image.py"},
        {"trace/test_profile_trace.py": "test_profile_trace.py"},
        "Trace the centre and the width of a star, with their errors",
        "Added ``specreduce.profile_trace.ProfileTrace``: a trace with the width of the star, "
        "errors of both and rejection of outliers.",
        "On main: it adds modules, so it applies but for the change log, which has no unreleased "
        "section yet; it does not use _ImageParser, which is gone there (#309).",
    ),
    Feature(
        "specreduce",
        "0007-polynomial-background",
        {"sky/polynomial_background": "polynomial_background"},
        {"sky/test_polynomial_background.py": "test_polynomial_background.py",
         "sky/polynomial_background/test_column_fit.py": "test_column_fit.py"},
        "Fit the background of each column with a polynomial along the slit",
        "Added ``specreduce.polynomial_background.PolynomialBackground`` with the variance of the "
        "background in an aperture.",
        "On main: it adds modules, so it applies but for the change log, which has no unreleased "
        "section yet; the base class Background reads its image with parse_image there (#309).",
    ),
    Feature(
        "specreduce",
        "0008-spline-sky",
        {"sky/spline_sky": "spline_sky"},
        {"sky/test_spline_sky.py": "test_spline_sky.py",
         "sky/spline_sky/test_sky_geometry.py": "test_sky_geometry.py"},
        "Model the sky on the tilted lines' own pixels (#197)",
        "Added ``specreduce.spline_sky.SplineSky``: the sky as a spline in the tilt-corrected "
        "coordinate of every pixel, without resampling.",
        "On main: it adds modules, so it applies but for the change log, which has no unreleased "
        "section yet; TiltSolution.resample changes in #320, which this does not call.",
    ),
    Feature(
        "specreduce",
        "0009-profile-extraction",
        {"extraction/optimal": "profile_extract", "extraction/pixel_noise.py": "pixel_noise.py",
         "extraction/profiles.py": "spatial_profiles.py", "extraction/cutout.py": "row_window.py",
         "extraction/noise_budget.py": "noise_budget.py",
         "extraction/simulate.py": "tests/simulated_star.py"},
        {"extraction/test_optimal.py": "test_profile_extract.py",
         "extraction/test_pixel_noise.py": "test_pixel_noise.py",
         "extraction/test_profiles.py": "test_spatial_profiles.py",
         "extraction/test_cutout.py": "test_row_window.py"},
        "Extract stars with a given profile and tell where the noise comes from",
        "Added ``specreduce.profile_extract.ProfileExtract``: optimal extraction with a profile "
        "of varying width, several stars, rejection of cosmic rays and variance components.",
        "On main: it adds modules, so it applies but for the change log, which has no unreleased "
        "section yet; HorneExtract is rewritten in #322, which this stands beside.",
    ),
    Feature(
        "specreduce",
        "0010-line-lists",
        {"wavelength/line_lists.py": "lamp_lines/__init__.py"},
        {"wavelength/test_line_lists.py": "test_lamp_lines.py"},
        "Line lists of lamps and of the night sky that need no network",
        "Added ``specreduce.lamp_lines``: line lists of lamps and of the night sky inside the "
        "package, which say whether they are in air or in vacuum.",
        "On main: it adds a module, so it applies but for the change log, which has no unreleased "
        "section yet; the tests that download lists are marked remote_data there (#310).",
        {"wavelength/data": "lamp_lines/data"},
    ),
)  # fmt: skip
