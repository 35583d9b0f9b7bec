"""The command ``slitlapse``: thin words around `slitlapse.automation`."""

import argparse
import sys
import warnings
from pathlib import Path

from astropy.utils.exceptions import AstropyUserWarning

from slitlapse import __version__

__all__ = ["main"]


def main(arguments=None):
    """
    Run one command.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.

    Returns
    -------
    int
        0 where all went well, 2 where the input was bad, 1 where slitlapse itself was wrong,
        130 where it was interrupted.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", AstropyUserWarning)
            warnings.showwarning = notes = _Notes()
            options.said = notes.said
            options.run(options)
    except KeyboardInterrupt:
        _say("stopped; finished exposures are kept, run it again to go on")
        return 130
    except Exception as error:
        if options.traceback:
            raise
        if isinstance(error, (ValueError, OSError)):
            _say(error)
            return 2
        _say(
            f"this is a bug of slitlapse, please report it: {type(error).__name__}: {error} "
            f"('slitlapse --traceback {options.command} ...' shows where it arose)"
        )
        return 1
    return 0


def _whole(text):
    """Read a number of things: 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, but is {number}")
    return number


_whole.__name__ = "whole number"  # argparse says "invalid whole number value" of other text


def _file_to_write(text):
    """Read the name of a file whose folder exists."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}: make it first")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder: name a file")
    return path


def _say(message):
    """Say one sentence, on one line, where errors go."""
    print(f"slitlapse: {' '.join(str(message).split())}", file=sys.stderr)


class _Notes:
    """Show each warning once, as a sentence, without the line of code that it came from."""

    def __init__(self):
        self.said = set()

    def __call__(self, message, category, filename, lineno, file=None, line=None):
        text = str(message)
        if text not in self.said:
            self.said.add(text)
            _say(f"note: {text}")


def build_parser():
    """Describe the commands; the documentation is made from this."""
    parser = argparse.ArgumentParser(
        prog="slitlapse",
        description="From raw spectrograph frames to wavelength-calibrated time-series spectra "
        "of several stars, explained step by step.",
    )
    parser.add_argument("--version", action="version", version=f"slitlapse {__version__}")
    parser.add_argument(
        "--traceback", action="store_true", help="show where in the code an error arose"
    )
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(metavar="COMMAND")

    def add(name, run, text):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=name, run=run)
        return command

    demo = add("demo", run_demo, "simulate a small night with a transit and reduce it")
    demo.add_argument("folder", nargs="?", type=Path, default=Path("slitlapse-demo"))
    demo.add_argument("--exposures", type=_whole, default=40, help="how many (default 40)")
    demo.add_argument("--seed", type=int, default=1, help="of the random numbers (default 1)")

    _describe_simulate(add("simulate", run_simulate, "write the raw frames of a simulated night"))

    log = add("log", run_log, "list the frames of a folder, as an instrument describes them")
    log.add_argument("folder", type=Path)
    log.add_argument("--instrument", default=None, help="name or file of the instrument")
    log.add_argument(
        "--write", type=_file_to_write, default=None, metavar="FILE", help="write as ECSV"
    )

    init = add("init", run_init, "write a commented night.toml filled from what a folder holds")
    init.add_argument("folder", type=Path)
    init.add_argument("--instrument", required=True, help="name or file of the instrument")
    init.add_argument(
        "--output", type=_file_to_write, default=Path("night.toml"), help="file to write"
    )
    init.add_argument("--force", action="store_true", help="replace an existing file")

    reduce = add("reduce", run_reduce, "reduce a night: raw frames to time-series spectra")
    reduce.add_argument("night", type=Path, help="the night.toml")
    reduce.add_argument("--jobs", type=_whole, default=1, help="processes to work with (default 1)")
    reduce.add_argument(
        "--watch",
        nargs="?",
        type=_whole,
        const=10,
        metavar="SECONDS",
        help="stay, and reduce again when new frames have come (looks every 10 seconds)",
    )

    instruments = add("instruments", run_instruments, "list the built-in instruments")
    instruments.add_argument("name", nargs="?", help="show the file of this one")
    return parser


def _describe_simulate(command):
    """Arguments of ``slitlapse simulate``."""
    command.add_argument("folder", type=Path)
    source = command.add_mutually_exclusive_group()
    source.add_argument("--instrument", default=None, help="name or file (default toy)")
    source.add_argument(
        "--like", type=Path, default=None, metavar="NIGHT", help="a night.toml: make its like"
    )
    command.add_argument(
        "--exposures", type=_whole, default=None, help="how many (default 40, or as the night)"
    )
    command.add_argument(
        "--depth", type=float, default=None, help="of the first star's transit, such as 0.02"
    )
    command.add_argument(
        "--defect", action="append", default=[], metavar="NAME",
        help="what goes wrong, such as clouds; again for several; an unknown name lists all",
    )  # fmt: skip
    command.add_argument("--seed", type=int, default=1, help="of the random numbers (default 1)")


def run_demo(options):
    """Simulate, reduce, and say where the results are."""
    from slitlapse.automation import demo

    demo.run_demo(options.folder, n_exposures=options.exposures, seed=options.seed)


def run_simulate(options):
    """Write a simulated night."""
    from slitlapse.automation import like

    night = like.simulate_like(
        options.folder, options.like, instrument=options.instrument, seed=options.seed,
        n_exposures=options.exposures, depth=options.depth, defects=options.defect, progress=True,
    )  # fmt: skip
    print(f"{options.folder}: {night.n_frames} raw frames, and night.toml to reduce them")


def run_log(options):
    """Print the observing log."""
    from slitlapse.automation import log

    table = log.log_folder(options.folder, options.instrument)
    print(log.format_log(table))
    if options.write is not None:
        log.write_log(table, options.write)
        print(f"wrote {options.write}")


def run_init(options):
    """Write a night file."""
    from slitlapse.automation import init

    path = init.write_night_file(
        options.output, options.folder, options.instrument, overwrite=options.force
    )
    print(f"wrote {path}; look at it, then: slitlapse reduce {path}")


def run_reduce(options):
    """Reduce a night and say where the results are."""
    from slitlapse.automation import read_night, reduce_night, watch_night

    if options.watch is None:
        result = reduce_night(read_night(options.night), jobs=options.jobs, progress=True)
        print(result.summary(options.said))
        return
    for result in watch_night(options.night, every=options.watch, jobs=options.jobs, progress=True):
        if isinstance(result, Exception):
            _say(result)
        else:
            print(result.summary(options.said))
        print("watching for new frames; Ctrl-C ends it", flush=True)


def run_instruments(options):
    """List the built-in instruments, or show one."""
    from slitlapse.instruments import list_instruments, load_instrument

    if options.name is not None:
        print(load_instrument(options.name).source.read_text(encoding="utf-8"), end="")
        return
    for name in list_instruments():
        instrument = load_instrument(name)
        print(f"{name:16s} {instrument.name}")
