"""The numbers in the text of each pull request: before and after, in the same run.

``python upstream_patches/check.py FOLDER --numbers`` installs both released and both patched
packages into environments under the folder and prints the tables; in such an environment,
``python upstream_patches/compare.py fixes`` prints one column.
"""

import importlib
import json
import sys


def measure(which):
    """Return the rows of every topic of a file, as lists of text."""
    topics = importlib.import_module(f"compare_{which}").TOPICS
    return {topic: [list(row) for row in rows()] for topic, rows in topics.items()}


def tables(released, patched, features):
    """Return the tables as markdown: fixes before and after, features beside upstream's."""
    text = []
    for topic, rows in released.items():
        text += [f"### {topic}", "", "| | expected | released | patched |", "|---|---|---|---|"]
        for old, new in zip(rows, patched[topic], strict=True):
            text.append(f"| {old[0]} | {old[1]} | {old[2]} | {new[2]} |")
        text.append("")
    for topic, rows in features.items():
        text += [f"### {topic}", "", "| | upstream as it is | with the feature |", "|---|---|---|"]
        text += [f"| {what} | {old} | {new} |" for what, old, new in rows]
        text.append("")
    return "\n".join(text)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
