"""Model cards and datasheets of records, as Markdown with front matter."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trustbench.api.records import Records
from trustbench.api.tables import chosen_table
from trustbench.config.compose import conf_dirs
from trustbench.config.plugins import discover
from trustbench.config.yaml_file import read_yaml
from trustbench.store.records import Record
from trustbench.summary.cards import card_text, datasheet_text
from trustbench.summary.cards.card import card, find
from trustbench.summary.cards.datasheet import datasheet


def card_of(
    records: Records,
    arm: str,
    table: str | Path | None = None,
    config_dir: str | Path | None = None,
    licence: str | None = None,
) -> str:
    """Returns the model card of an arm: by its label, its name in the sweep, or its id's beginning.

    Raises:
        UserError: no such record, or several; an unknown table.
    """
    record = find(arm, records.every, records.names)
    if records.sweep is not None and record.id not in records.sweep.arms:
        records = replace(records, sweep=None)  # of no sweep: its own evaluations, among all
    registered = chosen_table(records, table, config_dir)
    found = card(record, records.arrays(record.id), records.arms, registered, records.evaluations)
    return card_text.markdown(found, registered, licence, _defaults(record, config_dir))


def _defaults(record: Record, config_dir: str | Path | None) -> Mapping[str, Any]:
    """The settings in the file of the record's data set; empty if it is not installed here."""
    known = discover("dataset", conf_dirs(None if config_dir is None else str(config_dir)))
    path = known.get(record.arm.dataset.name)
    return {} if path is None else read_yaml(path, "the option")


def datasheet_of(
    records: Records,
    dataset: str | None = None,
    table: str | Path | None = None,
    config_dir: str | Path | None = None,
    *,
    of_sweep: bool = False,
) -> str:
    """Returns the datasheet of a data set: what records know of it, and what was measured on it.

    `dataset` is required if there are records of several. `of_sweep` restricts it to the records of
    the chosen sweep; otherwise it uses every record of the data set.

    Raises:
        UserError: no record of that data set, several data sets, or an unknown table.
    """
    registered = chosen_table(records, table, config_dir)
    if not of_sweep:
        records = replace(records, sweep=None)
    return datasheet_text.markdown(datasheet(records.arms, records.arrays, registered, dataset))
