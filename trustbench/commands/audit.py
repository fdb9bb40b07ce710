"""`trustbench audit`: a given model, measured on rows and held to a policy."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yaml import YAMLError

from trustbench.api.audit_defaults import FORMATS
from trustbench.api.folders import default_output_dir
from trustbench.commands.parsing import Parser, add_config_dir, parser
from trustbench.commands.stages import shown
from trustbench.contracts.given import PICKLE
from trustbench.errors import UserError, did_you_mean
from trustbench.execution.audit.defaults import DRAWS, REFERENCES
from trustbench.store import yaml_text

if TYPE_CHECKING:  # loading takes seconds, and the first line about it is to appear at once
    from trustbench.api.audits import AuditResult


def main(args: Sequence[str]) -> int:
    """Returns 0 pass or no policy, 3 violated, 4 inconclusive."""
    given = _parser().parse_args(args)
    _refuse_impossible(given)
    result = None if given.model is None else _audited(given)
    code = 0
    if result is not None:
        from trustbench.commands.output import put

        put(result.render(given.format), given.output, given.format)
        if given.output:
            sys.stdout.write(result.render("terminal"))
        code = result.exit_code
    if given.methods:
        code = _retrained(given, result) or code
    return code


def _refuse_impossible(given: argparse.Namespace) -> None:
    """Raises UserError for flags that do not fit each other."""
    if given.format not in FORMATS:
        raise UserError(f"unknown format {given.format!r}; {did_you_mean(given.format, FORMATS)}")
    if given.methods and given.module is None:
        raise UserError(
            "--methods retrains the code of a module; name it with --module net.py:Net."
        )
    if given.model is None and not given.methods:
        raise UserError(
            "nothing is given to audit; name a model with --model, or code to retrain with "
            "--module net.py:Net --methods dpsgd."
        )
    if given.methods and given.format not in ("terminal", "md"):
        raise UserError(
            f"--format {given.format} holds an audit alone; with --methods give terminal or md, "
            "and `trustbench summarize` writes the table in other formats."
        )


def _audited(given: argparse.Namespace) -> "AuditResult":
    options = _options(given.option)
    if given.module is not None:
        options["module"] = given.module
    with shown("audit"):
        return _measured(given, options)


def _measured(given: argparse.Namespace, options: dict[str, Any]) -> "AuditResult":
    from trustbench.api.audits import audit

    return audit(
        given.model,
        given.data,
        target=given.target,
        sensitive=_listed(given.sensitive),
        favourable=given.favourable or None,
        schema=given.schema,
        policy=given.policy,
        train=given.train,
        unseen=given.unseen,
        split_column=given.split_column,
        calibration=given.calibration,
        reference=given.reference,
        recipe=given.recipe,
        references=given.references,
        settings=_recipe_settings(given),
        trust=given.trust,
        options=options,
        evaluators=_listed(given.evaluator) if given.evaluator else None,
        explain=given.explain,
        draws=given.draws,
        seed=given.seed,
        output_dir=given.output_dir,
        tracking_uri=given.tracking_uri,
        config_dir=given.config_dir,
    )


def _recipe_settings(given: argparse.Namespace) -> tuple[str, ...]:
    """The settings that say how a recipe's module is trained; --methods takes the others."""
    from trustbench.api.recipes import is_module, of_training

    if not given.methods:
        return tuple(given.set)
    if given.recipe is None or not is_module(given.recipe):
        return ()
    return of_training(given.set)


def _retrained(given: argparse.Namespace, result: "AuditResult | None") -> int:
    """Trains the arms of the methods and prints their table; 1 if an arm failed, else 0."""
    from trustbench.api.retraining import Retraining, baseline_of, retrain
    from trustbench.api.tables import table
    from trustbench.summary.render.audit_beside import beside

    found: Any = _options(given.option).get("args") or {}
    asked = Retraining(
        module=given.module,
        methods=tuple(_listed(given.methods)),
        data=Path(given.data),
        target=given.target,
        sensitive=tuple(_listed(given.sensitive)),
        favourable=tuple(given.favourable),
        schema=given.schema,
        drop=(given.split_column,) if given.split_column else (),
        args=found,
        settings=tuple(given.set),
    )
    records = retrain(asked, output_dir=given.output_dir, config_dir=given.config_dir)
    baseline = baseline_of(records)
    if result is not None and baseline is not None:
        sys.stdout.write(beside(result.record, baseline))
    sys.stdout.write(str(table(records).render(given.format)))
    return int(any(r.status not in ("ok", "unsupported") for r in records))


def _parser() -> Parser:
    p = parser("audit", "Measures a given model on your rows; only --methods trains.")
    _add_model(p)
    _add_table(p)
    _add_training_rows(p)
    _add_measuring(p)
    _add_retraining(p)
    _add_output(p)
    add_config_dir(p)
    return p


def _add_model(p: Parser) -> None:
    group = p.add_argument_group("the model")
    model = "a file, a URI, or column:NAME for predictions in the table"
    group.add_argument("--model", metavar="M", help=model)
    code = "the code of a checkpoint, or of what --methods retrains"
    group.add_argument("--module", metavar="FILE:NAME", help=code)
    group.add_argument(
        "--reference", metavar="M", help="an older model: adds the effect of replacing it, by row"
    )
    group.add_argument(
        "--trust", metavar="TYPE", nargs="?", const=PICKLE, action="append", default=[],
        help="a type that a file may hold; without a type, a pickle, which runs code",
    )  # fmt: skip
    group.add_argument(
        "--option", metavar="KEY=VALUE", action="append", default=[],
        help="a setting of the model's kind, such as timeout_s=10 of an HTTP endpoint",
    )  # fmt: skip


def _add_table(p: Parser) -> None:
    group = p.add_argument_group("the table of rows")
    group.add_argument("--data", metavar="FILE", required=True, help="the table of rows")
    group.add_argument("--target", metavar="COLUMN", help="the column to predict")
    group.add_argument(
        "--sensitive", metavar="COLUMN", action="append", default=[],
        help="a column of groups; several, or separated by commas, are combined",
    )  # fmt: skip
    group.add_argument(
        "--favourable", metavar="CLASS", action="append", default=[],
        help="the favourable class (default: the last of two); repeat it where several are",
    )  # fmt: skip
    schema = "a YAML file about the table, as `trustbench data check` writes it"
    group.add_argument("--schema", metavar="FILE", help=schema)


def _add_training_rows(p: Parser) -> None:
    group = p.add_argument_group("which rows the model has seen")
    group.add_argument("--train", metavar="FILE", help="the rows that the model was trained on")
    group.add_argument("--unseen", action="store_true", help="the model has seen none of the rows")
    words = "a column with the words train, test and, if wanted, calibration"
    group.add_argument("--split-column", metavar="COLUMN", help=words)
    share = "share of the unseen rows that calibrates prediction sets (default 0)"
    group.add_argument("--calibration", metavar="SHARE", type=float, default=0.0, help=share)


def _add_measuring(p: Parser) -> None:
    group = p.add_argument_group("what is measured")
    group.add_argument(
        "--policy",
        metavar="NAME|FILE",
        help="decides the exit code: 0 pass, 3 violated, 4 inconclusive",
    )
    group.add_argument(
        "--evaluator", metavar="NAME", action="append", default=[], help="only these (default: all)"
    )
    group.add_argument(
        "--explain", metavar="PACKAGE", default="shap",
        help="what explains the answers: shap (default) or lime; of a torch module also saliency, "
        "gradient_x_input or integrated_gradients",
    )  # fmt: skip
    group.add_argument(
        "--recipe", metavar="FILE:NAME",
        help="your fit(X, y), which returns a model, or your torch module, which is trained: makes "
        "the references of membership attacks",
    )  # fmt: skip
    group.add_argument(
        "--references", metavar="K", type=int, default=REFERENCES,
        help=f"how many models --recipe makes (default {REFERENCES})",
    )  # fmt: skip
    draws = f"redrawn samples of the rows behind an interval (default {DRAWS})"
    group.add_argument("--draws", metavar="N", type=int, default=DRAWS, help=draws)
    group.add_argument(
        "--seed", metavar="N", type=int, default=0, help="seed of the draws (default 0)"
    )


def _add_retraining(p: Parser) -> None:
    group = p.add_argument_group("what is retrained")
    group.add_argument(
        "--methods", metavar="NAME", action="append", default=[],
        help="retrain the module alone and with these methods, and print the table of effects",
    )  # fmt: skip
    group.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[],
        help="a setting of that training, or of a --recipe's module, as in `trustbench run`: "
        "protocol.replicates=8, training.epochs=20",
    )  # fmt: skip


def _add_output(p: Parser) -> None:
    group = p.add_argument_group("what is written, and where")
    group.add_argument("--format", metavar="FORMAT", default="terminal", help=", ".join(FORMATS))
    group.add_argument(
        "--output", metavar="FILE", help="write to a file, and show the audit as well"
    )
    out = str(default_output_dir())
    group.add_argument(
        "--output-dir", metavar="DIR", default=out, help=f"folder of the record (default {out})"
    )
    uri = "an MLflow server or database that gets the record as well"
    group.add_argument("--tracking-uri", metavar="URI", help=uri)


def _listed(given: Sequence[str]) -> list[str]:
    """Names that are repeated, or separated by commas."""
    return [name.strip() for text in given for name in text.split(",") if name.strip()]


def _options(given: Sequence[str]) -> dict[str, bool | int | float | str | None]:
    found: dict[str, bool | int | float | str | None] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign:
            raise UserError(f"--option {text} is not KEY=VALUE; give one such as timeout_s=10.")
        try:
            found[key] = yaml_text.load(value)
        except YAMLError as error:
            raise UserError(
                f"--option {text} cannot be read as a value of YAML; give one such as "
                "timeout_s=10 or 'args={width: 16}'."
            ) from error
    return found
