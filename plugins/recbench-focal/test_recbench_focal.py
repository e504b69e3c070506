import pytest

from recbench.testing import LossTests

pytest.importorskip("recbench_focal", reason="pip install ./plugins/recbench-focal")


class TestFocal(LossTests):
    name = "focal"
