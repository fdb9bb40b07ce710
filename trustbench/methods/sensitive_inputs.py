"""Which inputs hold the group of a row."""

from trustbench.contracts import Feature, Problem


def sensitive(problem: Problem) -> tuple[Feature, ...]:
    """The one-hot features that hold a row's group, if they are among the inputs.

    Groups by several attributes are those of their combinations.
    """
    features = {f.name: f for f in problem.features if f.kind == "categorical"}
    parts = problem.group_name.split(" x ")
    for names in ([problem.group_name], parts):
        if all(name in features for name in names):
            return tuple(features[name] for name in names)
    return ()


def sensitive_columns(problem: Problem) -> list[int]:
    """The flattened columns of these features, in the order of the features."""
    return [c for feature in sensitive(problem) for c in feature.columns]


def not_among_inputs(problem: Problem) -> str | None:
    """Returns why no input can be removed for the sake of a row's group, or None if one can."""
    if sensitive(problem):
        return None
    return (
        f"no categorical input of {problem.name} is named {problem.group_name}, so the model "
        "cannot be made unaware of it"
    )
