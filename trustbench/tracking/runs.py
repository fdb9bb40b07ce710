"""Which runs a server holds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trustbench.tracking.server import TrackingServer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ARM = "tags.`trustbench.kind` = 'arm'"
SWEEP = "tags.`trustbench.kind` = 'sweep'"
# A run being uploaded is RUNNING, and KILLED once it is known to stay incomplete.
WHOLE = "attributes.status != 'RUNNING' and attributes.status != 'KILLED'"
UPLOADED = "trustbench.uploaded"
"""The tag with the time of an upload; a run starts and ends when its arm did."""
OPEN = "attributes.status = 'RUNNING'"


ORDER = [f"tags.`{UPLOADED}` DESC", "attributes.start_time DESC"]


def experiment_id(server: TrackingServer, name: str) -> str:
    """The id of an experiment, which is created if it does not exist."""

    def find_or_make(client: "MlflowClient") -> str:
        from mlflow.exceptions import MlflowException

        where = None if server.remote else server.store.tracking_artifacts.as_uri()
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, where))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = client.get_experiment_by_name(name)  # another process was faster
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    return server.ask(find_or_make)


def experiments(server: TrackingServer, name: str | None = None) -> list[str]:
    """The ids of every experiment, or of the one called `name` if it exists."""
    if name is not None:
        found = server.call("get_experiment_by_name", name)
        return [str(found.experiment_id)] if found else []
    ids: list[str] = []
    token: str | None = None
    while True:
        page = server.call("search_experiments", max_results=1000, page_token=token)
        ids += [str(e.experiment_id) for e in page]
        token = page.token
        if not token:
            return ids


def search(
    server: TrackingServer, where: list[str], wanted: str, page: int = 1000
) -> Iterator["Run"]:
    """Every run that matches `wanted`, newest first; one search ends after `page` of them."""
    token: str | None = None
    options = {"max_results": page, "order_by": ORDER}
    while where:
        found = server.call("search_runs", where, wanted, page_token=token, **options)
        yield from found
        token = found.token
        if not token:
            return


def of_arm(arm: str) -> str:
    """The filter for the runs of one arm."""
    return f"{ARM} and tags.`trustbench.arm_id` = '{arm}'"
