"""A system with the channels open that trustbench's own interventions open."""

from functools import cache

from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.findings import SCHEDULE
from trustbench.config.compose import conf_dir
from trustbench.config.plugins import build, discover
from trustbench.config.yaml_file import read_yaml
from trustbench.contracts import Intervention, System


@cache
def methods() -> tuple[Intervention, ...]:
    """Every registered intervention that retrains nothing, at settings that compute quickly."""
    found = []
    for name, path in discover("intervention", [conf_dir()]).items():
        node = read_yaml(path, "the option")
        if not node or name not in node:
            continue  # `none` is the absence of a method
        made = build("intervention", name, node[name], name)
        own = type(made).__module__.rpartition(".")[2] == name  # not a variant
        if isinstance(made, Intervention) and own and not made.retrains:
            found.append(cheap(made))
    return tuple(found)


def opened(system: System, *layers: str) -> System:
    """The system after the methods that deploy in these layers, but for those that abstain.

    Many evaluators are not applicable where rows stay undecided.
    """
    for layer in layers:
        for method in methods():
            if method.deploys == layer and method.supports(system.problem, SCHEDULE) is None:
                deployed = method.deploy(system)
                system = system if deployed.abstains else deployed
    return system
