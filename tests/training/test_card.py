from beam_sts.training.card import reliability_table, robustness_table, seeds_table


def _results(pearson):
    return {
        "STS-B dev": {"pearson": pearson, "spearman": 0.5},
        "probes": {"ranking": {"order": pearson}, "identical": {"lowest": 0.9}, "unrelated": {"median": 0.1}},
    }


def test_seeds_are_told_as_mean_and_range():
    table = seeds_table({0: _results(0.8), 1: _results(0.7), 2: _results(0.9)})
    assert "| STS-B dev, pearson | 0.8000 | 0.7000 | 0.9000 |" in table
    assert '| probe "order" | 0.8000 | 0.7000 | 0.9000 |' in table
    assert seeds_table({0: _results(0.8)}) == "", "one seed has no range"


def test_calibration_is_told_for_every_tenth_that_has_pairs():
    def row(begin, score, gold):
        return {"from": begin, "to": begin + 0.1, "pairs": 5, "score": score, "gold": gold}

    table = reliability_table(
        {
            "STS-B dev": {"reliability": [row(0.0, 0.05, 0.1), row(0.9, 0.95, 0.9)]},
            "STS-B test": {"reliability": [row(0.0, 0.04, 0.2)]},
        }
    )
    assert "| 0.0 to 0.1 | 5 | 0.050 | 0.100 | 5 | 0.040 | 0.200 |" in table
    assert "| 0.9 to 1.0 | 5 | 0.950 | 0.900 | 0 |  |  |" in table


def test_probes_of_facts_and_forms_are_told_by_class():
    row = {"triples": 20, "right": 0.95, "same": 0.9, "lowest": 0.5, "other": 0.6, "other_high": 0.05}
    assert robustness_table({"unit": row}).splitlines()[-1] == "| unit | 20 | 0.95 | 0.90 | 0.05 |"
    assert robustness_table({}) == ""
