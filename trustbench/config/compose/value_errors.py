"""Explains values that do not fit a configuration, and unresolvable interpolations."""

import re

from trustbench.errors import did_you_mean

RESOLVERS = ("hydra", "now", "oc.create", "oc.decode", "oc.env", "oc.select")
TAKES = {
    "hydra.sweeper.arms": "names of arms, each with a list: '{dp: [intervention=dpsgd]}'",
    "hydra.sweeper.factors": "a list of interventions: [dpsgd,lime]",
    "hydra.sweeper.params": "keys with their values: '{seed: \"1,2\"}'",
    "hydra.mode": "RUN or MULTIRUN",
}
_WANTED = (
    (
        r"Cannot merge DictConfig with|Cannot assign \w+ to Dict|is not a\s+subclass of",
        "keys with values: {{key: value}}",
    ),
    (r"is not a ListConfig, list or tuple|Cannot merge ListConfig", "a list: [a,b]"),
    (r"could not be converted to Integer", "a whole number"),
    (r"could not be converted to Float", "a number"),
    (r"is not a valid bool", "true or false"),
    (r"expected one of \[(.*?)\]", "one of {0}"),
    (r"to string", "text"),
    (r"not [Oo]ptional", "a value other than null"),
)
_MISSING = re.compile(r"Interpolation key '(.+?)' not found")
_RESOLVING = (
    (
        r"Recursive interpolation|Cycle when|to parent node detected",
        "refers to itself; give it a value.",
    ),
    (
        r"Environment variable '(\w+)' not found",
        "reads the environment variable {0}, which is not set; set it in the shell.",
    ),
    (
        r"MissingMandatoryValue|Missing mandatory value",
        "has no value yet, or refers to one that has none; give it a value.",
    ),
    (
        r"token recognition|mismatched input|extraneous|no viable|missing \W",
        "holds ${{...}} that cannot be read; write ${{key}}, or a plain value.",
    ),
    (
        r"raised while resolving|[Ii]nterpolation",
        "holds ${{...}} that gives no value; write a plain value.",
    ),
)


def missing_key(text: str) -> str | None:
    """The missing key to which an interpolation refers, if `text` says so."""
    found = _MISSING.search(text)
    return found.group(1) if found else None


def unfit(text: str, key: str, given: str) -> str:
    """The sentence for an OmegaConf error on the value of `key`.

    `given` is the override that sets it, if one does.
    """
    name = key or given or "one of the values"
    own = re.search(r"ConfigError raised while resolving interpolation: (.+)", text)
    if own:
        return f"{name}: {own.group(1)}"
    kind = re.search(r"Unsupported interpolation type (\S+)", text)
    if kind:
        near = did_you_mean(kind.group(1), RESOLVERS)
        return f"{name} uses ${{{kind.group(1)}:...}}, which does not exist; {near}"
    if re.search(r"does not support deletion", text):
        return f"{given or name} removes what every run needs; set it instead."
    wanted = TAKES.get(key) or _first(_WANTED, text)
    if wanted:
        where = name if key or given else "its place"
        return f"{given or name} does not fit; {where} takes {wanted}."
    trouble = _first(_RESOLVING, text)
    if trouble:
        return f"{name} {trouble}"
    return f"{given or name} does not fit; `trustbench run --cfg job` shows values that do."


def _first(rules: tuple[tuple[str, str], ...], text: str) -> str | None:
    for pattern, say in rules:
        found = re.search(pattern, text)
        if found:
            return say.format(*found.groups())
    return None
