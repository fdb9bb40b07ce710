"""A server over HTTP does not name a folder of this machine as the place of a given model."""

import pytest

from tests.unit.tracking.odd_server import honest, serving
from trustbench.contracts.given import ModelSource
from trustbench.errors import UserError
from trustbench.models.given.opening import open_model
from trustbench.tracking.given_models import DESCRIPTION, MlflowAdapter

PLACES = ["file://{}", "{}", "FILE://{}", "file://localhost{}", "x:{}", "models:/m/1", "runs:/r1/x"]


def places(where):
    """Answers of a server that says of every model and run that it is at `where`."""
    base = honest(where)

    def answer(path, handler):
        if "get-download-uri" in path:
            return {"artifact_uri": where}
        if path.startswith("logged-models/search"):
            info = {"model_id": "m-1", "experiment_id": "1", "name": "x", "source_run_id": "r1"}
            return {"models": [{"info": {**info, "artifact_uri": where}, "data": {}}]}
        if path.startswith("logged-models"):
            info = {"model_id": "m-1", "experiment_id": "1", "name": "x", "artifact_uri": where}
            return {"model": {"info": info, "data": {}}}
        return base(path, handler)

    return answer


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


@pytest.mark.parametrize("uri", ["models:/credit/1", "runs:/r1/x", "models:/m-1"])
@pytest.mark.parametrize("place", PLACES)
def test_a_folder_of_this_machine_is_refused(place, uri, tmp_path):
    secret = tmp_path / "theirs"
    secret.mkdir()
    (secret / DESCRIPTION).write_text("flavors: {}")
    with serving(places(place.format(secret))) as address, pytest.raises(UserError) as refused:
        open_model(ModelSource(uri, options={"tracking_uri": address}), beside=[MlflowAdapter()])
    said = str(refused.value)
    assert said.startswith(f"model {uri} cannot be fetched")
    if not place.startswith("runs:"):  # MLflow itself refuses these in some places
        assert "--default-artifact-root mlflow-artifacts:" in said
    assert [p.name for p in secret.iterdir()] == [DESCRIPTION]
