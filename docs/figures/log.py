import tempfile

import numpy as np

from slitlapse.automation import simulate_night
from slitlapse.instruments import load_instrument
from slitlapse.observing_log import make_header_table, plot_night, read_headers

toy = load_instrument("toy")
folder = tempfile.mkdtemp()
rng = np.random.default_rng(1)
simulate_night(folder, instrument=toy, rng=rng, n_exposures=4, n_calibrations=2)
headers, skipped = read_headers(f"{folder}/raw")  # one FrameHeader per file
print(headers[0].path.name, headers[0].shape, headers[0].cards["OBJECT"])
axes = plot_night(make_header_table(f"{folder}/raw", **toy.log_rules))
axes[0].ticklabel_format(axis="y", useOffset=False)
