"""`python -P scoring.py MODEL ROWS SCORES`: what an MLflow model makes of the rows of one Parquet file, into
another.

It imports nothing of ours: a registered version brings the `workloads` that it was made with, and those are
to be found first.
"""

import sys

LETTERS = 600
"""Of a cause: MLflow's show all of the data."""


def main(model: str, rows: str, scores: str) -> None:
    import mlflow
    import pandas as pd

    found = mlflow.pyfunc.load_model(model, suppress_warnings=True).predict(pd.read_parquet(rows))
    pd.DataFrame({"late_probability": found["late_probability"].to_numpy(float)}).to_parquet(scores)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        # Warnings go to standard error.
        print(f"{type(error).__name__}: {str(error)[-LETTERS:]}")
        sys.exit(1)
