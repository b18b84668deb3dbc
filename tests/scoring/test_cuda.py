"""On a GPU, where there is one."""

import numpy as np
import pytest
import torch

from beam_sts import PairScorer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")


@pytest.mark.parametrize(("precision", "largest"), [("fp32", 1e-4), ("bf16", 0.05)])
def test_scores_agree_with_the_cpus(full_size, pairs, precision, largest):
    ours = PairScorer(full_size, device="cuda", precision=precision).score(pairs)
    np.testing.assert_allclose(ours, PairScorer(full_size, threads=1).score(pairs), rtol=0, atol=largest)
