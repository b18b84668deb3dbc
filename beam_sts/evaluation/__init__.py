"""Evaluation: agreement with people's marks, and systems compared by their answers."""

from beam_sts.evaluation.agreement import (
    Agreement,
    GroupAgreement,
    Tenth,
    UndefinedCorrelationError,
    agreement,
    agreement_by_group,
    by_tenth,
    check_varies,
    scatter_counts,
)
from beam_sts.evaluation.calibration import Calibration, fit_calibration, load_calibration
from beam_sts.evaluation.comparison import Comparison, compare
from beam_sts.evaluation.gates import Gate, check_gates, junit, markdown
from beam_sts.evaluation.means import GroupMean, group_means
from beam_sts.evaluation.scatter import plot, require_matplotlib

__all__ = [
    "Agreement",
    "Calibration",
    "Comparison",
    "Gate",
    "GroupAgreement",
    "GroupMean",
    "Tenth",
    "UndefinedCorrelationError",
    "agreement",
    "agreement_by_group",
    "by_tenth",
    "check_gates",
    "check_varies",
    "compare",
    "fit_calibration",
    "group_means",
    "junit",
    "load_calibration",
    "markdown",
    "plot",
    "require_matplotlib",
    "scatter_counts",
]
