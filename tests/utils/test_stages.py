"""The figures of a process itself."""

import subprocess
import sys

import numpy as np

from recsys_cli.utils.stages import peak_bytes


def test_peak_memory_is_the_process_s_own_and_not_that_of_the_one_that_started_it() -> None:
    large = np.ones(100_000_000)  # 800 MB
    command = [sys.executable, "-c", "from recsys_cli.utils.stages import peak_bytes; print(peak_bytes())"]
    child = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert child < large.nbytes / 2 < peak_bytes()
