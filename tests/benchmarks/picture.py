"""The README's picture: seconds and peak memory against users, ours and the peer's, from .bench/result.json.

python -m tests.benchmarks.picture
"""

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "recsys"  # the same figures give the same file

from matplotlib import pyplot as plt  # noqa: E402  # pylint: disable=wrong-import-position

RESULT = Path(".bench/result.json")
PICTURE = Path(__file__).with_name("speed.svg")
SERIES = (("recsys, same work", "recsys", "-o"), ("peer, LightFM", "RecTools, two stages", "--s"))
AXES = (("seconds", "seconds"), ("peak_rss_gb", "peak memory, GB"))


def draw(rows: dict[str, dict[str, Any]], picture: Path) -> None:
    """Draw every size that was measured of each series."""
    sizes = [25_000, 50_000, 100_000, 200_000, 500_000]
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for panel, (key, title) in zip(panels, AXES, strict=True):
        for prefix, label, style in SERIES:
            points = sorted((row["users"], row[key]) for name, row in rows.items() if name.startswith(prefix))
            panel.plot(*zip(*points, strict=True), style, label=label)
            for users, value in points:
                panel.annotate(f"{value:.3g}", (users, value), textcoords="offset points", xytext=(4, 5))
        panel.set(xscale="log", yscale="log", xlabel="users", ylabel=title)
        panel.minorticks_off()
        panel.set_xticks(sizes, [f"{users // 1_000:,}k" for users in sizes])
        panel.margins(0.18)
        panel.legend()
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(RESULT.read_text(encoding="utf-8"))["rows"], PICTURE)
