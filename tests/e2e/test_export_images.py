"""A model of a user's own images, exported: files of images in, the record's numbers out."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import trustbench
from tests.unit.datasets.own.test_images import N, picture
from trustbench.contracts.seeding import Streams
from trustbench.datasets.images import Images

SETTINGS = {"image_size": 8, "channels": "grey", "sensitive": ("home",)}
SERVE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow, numpy
model = mlflow.pyfunc.load_model(sys.argv[1])
answers = model.predict(numpy.load(sys.argv[2]), params={"explanations": False})
print(json.dumps(list(answers.decision)))
"""


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Pictures with their labels and groups in a table."""
    root = tmp_path_factory.mktemp("pets")
    rows = []
    for k in range(2 * N):
        picture(k).save(root / f"{k}.png")
        home = "town" if k % 3 else "land"
        rows.append({"path": str(root / f"{k}.png"), "label": "cat" if k % 2 else "dog"})
        rows[-1]["home"] = home
    pd.DataFrame(rows).to_csv(root / "pets.csv", index=False)
    return root


@pytest.mark.slow
def test_files_of_images_get_the_decisions_of_the_record(pets):
    arm = {
        "dataset": "images",
        "dataset.path": str(pets / "pets.csv"),
        **{f"dataset.{k}": list(v) if isinstance(v, tuple) else v for k, v in SETTINGS.items()},
        "protocol.replicates": 2,
        "training.epochs": 3,
        "evaluator": ["utility"],
    }
    records = trustbench.run(arm, output_dir=pets / "store", data_dir=pets / "data")
    made = trustbench.export(
        records, records[0].id, replicate=1, to="mlflow", output=pets / "model",
        data_dir=pets / "data",
    )  # fmt: skip
    problem = Images(path=str(pets / "pets.csv"), **SETTINGS).load(pets, Streams(0))
    X, y, _ = problem.rows("test")
    truth = np.array(problem.classes)[y]
    table = pd.read_csv(pets / "pets.csv")
    every = trustbench.load_model(pets / "model").encode(table)
    of_file = {image.tobytes(): path for image, path in zip(every, table.path, strict=True)}
    files = pd.DataFrame({"path": [of_file[image.tobytes()] for image in X]})
    rows = records.frame().query("metric == 'accuracy' and replicate == 1")
    (measured,) = rows.value
    decided = made.model.predict(files).decision
    assert np.mean(decided.to_numpy() == truth) == pytest.approx(measured, abs=1e-9)
    np.save(pets / "X.npy", X)
    said = subprocess.run(
        [sys.executable, "-c", SERVE, pets / "model", pets / "X.npy"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(said.stdout.splitlines()[-1]) == list(decided)
    with pytest.raises(trustbench.DataError, match="no column 'path' with the paths of images"):
        made.model.predict(pd.DataFrame({"file": ["a.png"]}))
    with pytest.raises(trustbench.DataError, match="there is no image nowhere"):
        made.model.predict(pd.DataFrame({"path": [Path("nowhere.png")]}))
