"""Every built-in loss keeps the contract."""

from recbench.testing import LossTests


class TestLML(LossTests):
    name = "lml"


class TestLMLSummedOverTitles(LossTests):
    name = "lml"
    options = {"reduction": "title_sum", "tau": 2.0}


class TestMSL(LossTests):
    name = "msl"
    forced_is_free = True


class TestMSLFixedTemperature(LossTests):
    name = "msl"
    options = {"tau": 2.0}
    forced_is_free = True


class TestMSLOfficial(LossTests):
    name = "msl"
    options = {"variant": "official"}
    forced_is_free = True


class TestMSLPaper(LossTests):
    name = "msl"
    options = {"variant": "paper"}
    forced_is_free = True
