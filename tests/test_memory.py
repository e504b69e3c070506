"""The memory of one step: what came before it does not count."""

import json
import subprocess
import sys

import pytest

MEASURED = """
import json
import numpy as np
from recbench.memory import forget_peak, peak_memory_bytes

forget_peak()
found = [peak_memory_bytes()]
np.ones(2**25).sum()
found.append(peak_memory_bytes())
forget_peak()
print(json.dumps([*found, peak_memory_bytes()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot begin to measure anew")
def test_a_peak_is_forgotten() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    before, high, after = json.loads(done.stdout)
    assert high - before == pytest.approx(2**28, rel=0.1)
    assert high - after == pytest.approx(2**28, rel=0.1)
