"""The adapters run in their harnesses, if the package of the harness is installed."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from beam_sts import integrations

QUESTIONS = [
    ("As far as I know, the capital of France has been Paris for a long time.", "Paris"),
    ("As far as I know, the capital of France has been Lyon for a long time.", "Paris"),
]


@pytest.mark.parametrize("name", ["lm_eval", "inspect_ai", "mlflow"])
def test_an_adapter_is_short(name):
    file = Path(integrations.__file__).parent / f"{name}.py"
    assert len(file.read_text().splitlines()) <= 40


@pytest.mark.parametrize("name", ["lm_eval", "inspect_ai", "mlflow"])
def test_without_its_package_an_adapter_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    for module in [each for each in sys.modules if each.startswith((f"{name}.", "beam_sts.integrations."))]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ImportError, match=rf"pip install 'beam_sts\[{name}\]'"):
        importlib.import_module(f"beam_sts.integrations.{name}")


def test_lm_evaluation_harness_scores_a_task_with_the_metric(tmp_path):
    pytest.importorskip("lm_eval")
    from lm_eval.api.registry import get_metric, get_metric_aggregation, is_higher_better
    from lm_eval.api.task import ConfigurableTask

    import beam_sts.integrations.lm_eval  # noqa: F401  (registers the metric)

    data = tmp_path / "questions.jsonl"
    data.write_text("".join(json.dumps({"q": "Capital?", "a": right}) + "\n" for _, right in QUESTIONS))
    task = ConfigurableTask(
        config={
            "task": "capitals",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "{{q}}",
            "doc_to_target": "{{a}}",
            "metric_list": [{"metric": "beam_sts", "aggregation": "mean", "higher_is_better": True}],
        }
    )
    docs = list(task.test_docs())
    scores = [
        task.process_results(doc, [answer])["beam_sts"]
        for doc, (answer, _) in zip(docs, QUESTIONS, strict=True)
    ]
    assert scores[0] > 0.8 > 0.3 > scores[1]
    assert task.aggregation()["beam_sts"](scores) == pytest.approx(sum(scores) / 2)
    assert is_higher_better("beam_sts")
    assert get_metric_aggregation("beam_sts") is not None
    assert get_metric("beam_sts")(references=["Paris"], predictions=["Paris"], rule="similarity") > 0.9


def test_inspect_ai_scores_a_task_with_the_best_of_its_targets(tmp_path):
    pytest.importorskip("inspect_ai")
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    from beam_sts.integrations.inspect_ai import similar

    outputs = [ModelOutput.from_content("mockllm/model", answer) for answer, _ in QUESTIONS]
    for output in outputs:
        output.usage = ModelUsage()  # otherwise tokens are counted, with a vocabulary from the network
    task = Task(
        dataset=[Sample(input="Capital?", target=["Paris", "Rome"]) for _ in QUESTIONS], scorer=similar()
    )
    model = get_model("mockllm/model", custom_outputs=outputs)
    (log,) = eval(task, model=model, log_dir=str(tmp_path), display="none", max_samples=1)
    assert log.status == "success", log.error
    values = [sample.scores["similar"].value for sample in log.samples]
    assert values[0] > 0.8 > 0.3 > values[1]
    assert log.results.scores[0].metrics["mean"].value == pytest.approx(sum(values) / 2)


def test_mlflow_logs_row_scores_figures_and_the_page(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    import pandas as pd

    from beam_sts.integrations.mlflow import log_evaluation, similar

    result, page = tmp_path / "result.json", tmp_path / "page.html"
    groups = [{"group": "a", "mean": 0.9}, {"group": "b/%", "mean": 0.5}]
    result.write_text(json.dumps({"groups": groups, "pearson": None, "comparisons": []}))
    page.write_text("<title>page</title>")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    mlflow.create_experiment("answers", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("answers")
    with mlflow.start_run() as run:
        log_evaluation(result, page)
        data = pd.DataFrame(QUESTIONS, columns=["answer", "reference"])
        scored = mlflow.models.evaluate(
            data=data, predictions="answer", targets="reference", extra_metrics=[similar]
        )
    logged = mlflow.get_run(run.info.run_id).data.metrics
    assert (logged["mean a"], logged["mean b__"]) == (0.9, 0.5)
    assert 0.3 < logged["beam_sts/mean"] < 0.7
    first, second = scored.tables["eval_results_table"]["beam_sts/score"]
    assert first > 0.8 > 0.3 > second
    names = {file.path for file in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)}
    assert {"page.html", "result.json"} <= names
