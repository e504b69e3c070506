"""Every built-in loss keeps the contract."""

from recbench.testing import LossTests, PreferenceLossTests, ScoringLossTests


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


class TestMSLTokenTemperatures(LossTests):
    name = "msl"
    # a temperature of the position's own is a constant for the gradient, so finite differences need it to be one
    options = {"scope": "token", "tau_min": 2.0, "tau_max": 2.0}
    forced_is_free = True


class TestMSLCoefficient(LossTests):
    name = "msl"
    options = {"alpha": "auto", "tau": "none"}
    forced_is_free = True


class TestCE(ScoringLossTests):
    name = "ce"


class TestBCE(ScoringLossTests):
    name = "bce"


class TestSDPO(PreferenceLossTests):
    name = "sdpo"


class TestSDPOOneNegative(PreferenceLossTests):
    name = "sdpo"
    options = {"negatives": 1, "beta": 0.1}
