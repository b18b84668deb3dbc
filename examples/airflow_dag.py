"""Score each day's pairs with Airflow 3: copy this file into its folder of DAGs.

A run can be repeated safely, so Airflow may retry a failed one, which continues where it stopped. An error
that a retry cannot fix (a wrong option, a missing column: exit status 2) fails at once.
"""

import os
import subprocess
from datetime import datetime

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

DATA = os.environ.get("PAIRS_FOLDER", "/data")
SCORE = os.environ.get(
    "BEAM_STS", "beam-sts"
)  # the path of the command, if it is in another virtual environment


@dag(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False)
def score_pairs() -> None:
    @task(retries=3)
    def score(ds: str | None = None) -> str:
        folders = ["--input", f"{DATA}/pairs/{ds}/*.parquet", "--output", f"{DATA}/scored/{ds}"]
        done = subprocess.run([SCORE, "score", *folders, "--log_format", "json"], check=False)
        if done.returncode == 2:
            raise AirflowFailException("an error in options or input: see the log; a retry cannot help")
        done.check_returncode()
        return f"{DATA}/scored/{ds}"

    score()


score_pairs()
