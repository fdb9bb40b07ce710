"""Published results beside ours, from the records of the `known_*` experiments.

run: python scripts/known_answers.py [--into outputs] [--data data] [--out docs/known-answers.md]

Each case of scripts/known_answers.yaml names an experiment; run that first, with its
`output_dir` the folder given here. What was not run is listed as such. How a row is judged
stands at the top of the document that this writes.
"""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from trustbench.arms import Arm
from trustbench.attacks.membership import oracle_balanced_accuracy
from trustbench.compose import compose, composed_arm, conf_dir
from trustbench.conformal.private import level
from trustbench.contracts import System
from trustbench.deployment import deploy
from trustbench.explanations.kernel_shap import KernelShap
from trustbench.explanations.lime_surrogate import Lime, Stream
from trustbench.explanations.neighbourhoods import neighbourhood
from trustbench.explanations.surrogate_values import surrogate_values
from trustbench.explanations.targets import target_values
from trustbench.groups import means
from trustbench.planning import plan
from trustbench.records import Record, Store
from trustbench.summary.effects import Effect, paired_effect
from trustbench.sweeping import named_arms

ROOT = Path(__file__).resolve().parents[1]
REGISTRY = ROOT / "scripts" / "known_answers.yaml"
NOT_RUN = "not run"
Values = NDArray[np.float64]
ROUNDING = 1e-9  # of a mean of equal numbers
FIDELITY_POINTS = 1000  # test rows whose surrogate decides, for the published fidelity

COLUMNS = ("case", "what is compared", "published", "ours", "regime", "verdict", "what differs",
           "command")  # fmt: skip

HEAD = """# Known answers: published results beside ours

Made by `python scripts/known_answers.py` from the records of the experiments named below and
from `scripts/known_answers.yaml`, which says what is compared and how it is judged; do not edit.

*Ours* is a mean over n replicates with its 95 % paired t interval (paired by replicate where two
arms are compared), conditional on one draw of the data. A row counts as

- **reproduced in size** where a band around the published number is registered and our whole
  interval lies inside of it;
- **reproduced in direction** where our interval excludes the null on the published side;
- **not reproduced** otherwise: *inconclusive* where the interval holds the null, *opposite* where
  it excludes it on the other side. Such rows stay; what was looked at is said beside them.

Rows without a published number can be reproduced in direction only. pp: percentage points.
"""


def arms_of(experiment: str) -> dict[str, list[str]]:
    """The overrides of each arm of an experiment."""
    node = yaml.safe_load((conf_dir() / "experiment" / f"{experiment}.yaml").read_text())
    return named_arms(node["hydra"]["sweeper"]["arms"])


# --- the numbers of a row ------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """The arms of one experiment, as records and as systems; `ids` names the record of an arm.

    `evaluations` are the ids that are read (none given: all); `extra` are overrides that every
    arm was run with, beside those of the experiment.
    """

    experiment: str
    store: Store
    data_dir: Path
    ids: Mapping[str, str]
    evaluations: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    @classmethod
    def of_sweep(cls, experiment: str, store: Store, data_dir: Path) -> "Source":
        """The experiment's last sweep; without arms before it, or when it was of other arms."""
        sweep, names = store.sweep(experiment), arms_of(experiment)
        if sweep is None or len(sweep.arms) != len(names):
            return cls(experiment, store, data_dir, {})
        ids = dict(zip(names, sweep.arms, strict=True))
        return cls(experiment, store, data_dir, ids, tuple(sweep.evaluations))

    def record(self, arm: str) -> Record | None:
        """The finished record of an arm, or None."""
        found = self.store.read(self.ids[arm]) if arm in self.ids else None
        return found if found is not None and found.status == "ok" else None

    def arm(self, name: str) -> Arm:
        """The arm as it was run."""
        overrides = [f"+experiment={self.experiment}", *arms_of(self.experiment)[name]]
        spec: Arm = composed_arm(compose([*overrides, *self.extra]))
        return replace(spec, output_dir=self.store.root, data_dir=self.data_dir)

    def system(self, name: str) -> System:
        """The arm's deployed system; its replicates are read from the store."""
        return deploy(plan(self.arm(name)), self.store, lambda *_: None)[0]

    def values(self, arm: str, metric: str) -> Values | None:
        """A metric [R] of an arm; `evaluator/array[j]` is column j of an array it kept."""
        record = self.record(arm)
        evaluator, name = metric.split("/")
        keys = [
            key
            for key, e in (record.evaluations if record else {}).items()
            if e.evaluator.name == evaluator and key in (self.evaluations or [key])
        ]
        if record is None or not keys:
            return None
        if name.endswith("]"):
            name, column = name[:-1].split("[")
            return self.store.arrays(record.id)[f"{keys[0]}/{name}"][:, int(column)]
        found = record.evaluations[keys[0]].measurements.get(name)
        return None if found is None else np.array(found.values)


def quantity(source: Source, of: Mapping[str, Any]) -> Values | None:
    """The values [R] that a node of the registry names, or None when they were not measured."""
    if "from" in of:
        same = {k: v for k, v in of.items() if k != "from"}
        return difference(quantity(source, same), quantity(source, {**same, "arm": of["from"]}))
    if "computed" in of:
        return COMPUTED[of["computed"]](source, of) if source.record(of["arm"]) else None
    first = source.values(of["arm"], of["metric"])
    return difference(first, source.values(of["arm"], of["less"])) if "less" in of else first


def difference(a: Values | None, b: Values | None) -> Values | None:
    return None if a is None or b is None else a - b


def estimate(source: Source, row: Mapping[str, Any]) -> Effect | None:
    """The effect of a row; `minus` pairs two quantities, `over` gives a geometric mean ratio."""
    ours = quantity(source, row["ours"])
    if "minus" in row:
        ours = difference(ours, quantity(source, row["minus"]))
    if "over" not in row:
        return None if ours is None else paired_effect(ours)
    other = quantity(source, row["over"])
    if ours is None or other is None:
        return None
    logs = paired_effect(np.log(ours) - np.log(other))
    return replace(
        logs, effect=math.exp(logs.effect), low=math.exp(logs.low), high=math.exp(logs.high)
    )


def verdict(row: Mapping[str, Any], found: Effect | None) -> str:
    """What an effect says of a row; see the head of the document."""
    if found is None:
        return NOT_RUN
    null = row.get("beyond", 1.0 if "over" in row else 0.0)
    sides = {"above": found.low > null, "below": found.high < null}
    holds = sides[row["direction"]] if "direction" in row else None
    if "size" in row and holds is not False:
        low, high = row["size"]
        if low - ROUNDING <= found.low and found.high <= high + ROUNDING:
            return "reproduced in size"
    if holds:
        return "reproduced in direction"
    if holds is None:
        return "not reproduced (outside of the band)"
    other = sides["below" if row["direction"] == "above" else "above"]
    return f"not reproduced ({'opposite' if other else 'inconclusive'})"


# --- what is computed and in no record -----------------------------------------------------------


def song(data_dir: Path, model: str, inputs: str) -> float | None:
    """Balanced accuracy of the best threshold on the published outputs of one Yale network."""
    path = data_dir / "golden" / f"yale_{model}.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as data:
        scores = []
        for split in ("train", "test"):
            p, y = data[f"output_{split}_{inputs}"], data[f"{split}_label"]
            scores.append(p[np.arange(len(y)), y])
    return float(oracle_balanced_accuracy(*scores))


def fidelity(source: Source, of: Mapping[str, Any]) -> Values:
    """Published fidelity, per replicate: how often the surrogate's decision at a row is the
    model's; `gap` names a statistic over groups, `maximum` (from average) or `mean` (of pairs)."""
    system = source.system(of["arm"])
    X, _, group = system.problem.rows("test")
    rows = system.streams.numpy("explanations", Stream.POINTS).permutation(len(X))[:FIDELITY_POINTS]
    x = system.tensor(X[rows])
    margin = SURROGATES[of["surrogate"]](system, x)  # of the predicted class: positive agrees
    return fidelity_gap((margin > 0).astype(float), group[rows], of["gap"])


def fidelity_gap(agrees: Values, group: Values, gap: str) -> Values:
    """The gap [R] of agreement [R, n]; see `fidelity`.

    >>> fidelity_gap(np.array([[1.0, 1.0, 1.0, 0.0]]), np.array([0, 0, 1, 1]), "maximum").tolist()
    [0.25]
    """
    by_group = means(agrees, group, group.max() + 1)
    if gap == "maximum":
        return np.asarray(agrees.mean(1) - by_group.min(1))
    pairs = [np.abs(by_group[:, i] - by_group[:, j])
             for i, j in combinations(range(by_group.shape[1]), 2)]  # fmt: skip
    return np.asarray(np.mean(pairs, axis=0))


def lime_margin(system: System, x: Any) -> Values:
    """By how much LIME's surrogates put the probability of the predicted of two classes above
    one half at the rows that they explain, [R, n]."""
    lime = Lime(target="probability")
    values = surrogate_values(system, lime, lime.neighbourhood(system), x, Stream.RELEASED)
    return np.asarray(values.cpu().numpy() - 0.5)


def shap_margin(system: System, x: Any) -> Values:
    """The same of KernelSHAP: its values plus the mean margin of the background, [R, n]."""
    shap = KernelShap(256, 5, "margin")
    area = neighbourhood(system.problem, 0.0, system.device)
    total = shap.values(system, area, x).sum(-1).double()
    classes = system.logits(x).argmax(-1)
    logits = system.logits(shap.rows(system))[:, None].expand(-1, len(x), -1, -1)
    base = target_values(logits, classes, "margin").mean(-1)
    return (total + base).cpu().numpy()


SURROGATES = {"lime": lime_margin, "kernel_shap": shap_margin}


def raised_level(source: Source, of: Mapping[str, Any]) -> Values:
    """By how much privacy raises the level that thresholds aim at, beyond 1 / (1 - gamma alpha)
    of it, which remains with any number of rows; the same for all replicates."""
    record = source.record(of["arm"])
    assert record is not None  # `quantity` has asked
    spec = record.arm.interventions[0].params
    rows = spec["rows"] or record.arm.protocol["calibration"]
    aim = level(rows, spec["alpha"], spec["epsilon"], spec["gamma"], spec["bins"])
    limit = (1 - spec["alpha"]) / (1 - spec["gamma"] * spec["alpha"])
    return np.full(record.replicates, aim - limit * (rows + 1) / rows)


COMPUTED = {"fidelity": fidelity, "raised_level": raised_level}


# --- the document --------------------------------------------------------------------------------


def number(value: float, row: Mapping[str, Any]) -> str:
    """A value in the row's unit.

    >>> number(0.123, {"unit": "pp"}), number(0.123, {}), number(0.5585306, {"digits": 7})
    ('12.3', '0.123', '0.5585306')
    """
    if row.get("unit") in ("pp", "%"):
        return f"{100 * value:.1f}"
    return f"{value:.{row.get('digits', 3)}f}"


def shown(found: Effect, row: Mapping[str, Any]) -> str:
    """Mean, interval, unit and n."""
    unit = f" {row['unit']}" if "unit" in row else ""
    mean, low, high = (number(v, row) for v in (found.effect, found.low, found.high))
    return f"{mean}{unit} [{low}, {high}], n = {found.n}"


def lines(case: Mapping[str, Any], store: Store, data_dir: Path) -> list[str]:
    """The table's lines of a case, one a row."""
    if "golden" in case:
        return [golden_line(case, row, data_dir) for row in case["rows"]]
    source = Source.of_sweep(case["experiment"], store, data_dir)
    return [line(case, row, source) for row in case["rows"]]


def line(case: Mapping[str, Any], row: Mapping[str, Any], source: Source) -> str:
    found = estimate(source, row)
    record = source.record(row["ours"]["arm"])
    regime = str(record.arm.training["regime"]) if record else ""
    where = f"{record.arm.dataset.name}, {record.arm.model.name}, {regime}" if record else ""
    ours = NOT_RUN if found is None else shown(found, row)
    differs = f"{case['differs']} {row.get('differs', '')}".strip()
    command = f"`trustbench run +experiment={case['experiment']}`"
    return joined(case, row, ours, where, verdict(row, found), differs, command)


def golden_line(case: Mapping[str, Any], row: Mapping[str, Any], data_dir: Path) -> str:
    found = song(data_dir, row["model"], row["inputs"])
    exact = found is not None and abs(found - row["value"]) < 1e-6
    said = NOT_RUN if found is None else ("reproduced in size" if exact else "not reproduced")
    ours = NOT_RUN if found is None else f"{found:.7f} (no interval: fixed outputs)"
    return joined(
        case, row, ours, "published outputs", said, case["differs"], f"`{case['command']}`"
    )


def joined(case: Mapping[str, Any], row: Mapping[str, Any], *cells: str) -> str:
    first = (str(case["number"]), row["what"], f"{row['published']} ({case['source']})")
    ours, where, said, differs, command = cells
    return "| " + " | ".join((*first, ours, where, f"**{said}**", differs, command)) + " |"


def document(cases: Sequence[Mapping[str, Any]], store: Store, data_dir: Path) -> str:
    table = [each for case in cases for each in lines(case, store, data_dir)]
    verdicts = [each.split("**")[1] for each in table]
    counts = {v: verdicts.count(v) for v in sorted(set(verdicts))}
    summary = "; ".join(f"{v}: {n}" for v, n in counts.items())
    notes = [f"- **{c['number']} {c['title']}.** {c['note']}" for c in cases if "note" in c]
    return "\n".join(
        [
            HEAD,
            f"{len(table)} rows: {summary}.",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|---" * len(COLUMNS) + "|",
            *table,
            "",
            "## Notes",
            "",
            *notes,
            "",
        ]
    )


def registry() -> list[dict[str, Any]]:
    """The cases, in the order of the table."""
    cases: list[dict[str, Any]] = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))["cases"]
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("TRUSTBENCH_DATA", "data"))
    parser.add_argument(
        "--into", type=Path, default=ROOT / "outputs", help="output_dir of the runs"
    )
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "known-answers.md")
    a = parser.parse_args()
    text = document(registry(), Store(a.into), a.data)
    a.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
