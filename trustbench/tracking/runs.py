"""Which runs a server holds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trustbench.store.redaction import shown
from trustbench.tracking.server import TrackingError, TrackingServer

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
MOST_PAGES = 1000
"""Pages of one search; a page holds up to 1,000 runs."""


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
    for _ in range(MOST_PAGES):
        page = server.call("search_experiments", max_results=1000, page_token=token)
        ids += [str(e.experiment_id) for e in page]
        token = page.token
        if not token:
            return ids
    raise endless(server)


def search(
    server: TrackingServer, where: list[str], wanted: str, page: int = 1000
) -> Iterator["Run"]:
    """Every run that matches `wanted`, newest first; one search ends after `page` of them."""
    token: str | None = None
    options = {"max_results": page, "order_by": ORDER}
    for _ in range(MOST_PAGES if where else 0):
        found = server.call("search_runs", where, wanted, page_token=token, **options)
        yield from found
        token = found.token
        if not token:
            return
    if where:
        raise endless(server)


def endless(server: TrackingServer) -> TrackingError:
    """The error of a server whose list of runs or experiments does not end."""
    return TrackingError(
        f"tracking at {shown(server.address)} failed: it lists more than {MOST_PAGES} pages; give "
        "the address of an MLflow server."
    )


def of_arm(arm: str) -> str:
    """The filter for the runs of one arm."""
    return f"{ARM} and tags.`trustbench.arm_id` = '{arm}'"
