"""Writes the tables of docs/results/tables.md, each from the sweep of the command above it.

run: trustbench run +experiment=dp_vs_fairness
     trustbench run +experiment=full_table dataset=adult data_dir=../shared/data
     python scripts/fill_tables.py [--outputs outputs] [--table dp_vs_fairness]
     python scripts/pages/cell_pages.py  # the pages of the cells show the table of Adult
"""

import argparse
import re
from pathlib import Path

from marked_part import put

from trustbench.store.records import Store

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results" / "tables.md"
# anchor -> (experiment, dataset, model): the file written by the sweep
TABLES = {
    "dp_vs_fairness": "dp_vs_fairness-digits-mlp",
    "adult": "full_table-adult-mlp",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    parser.add_argument("--table", nargs="*", choices=list(TABLES), default=list(TABLES))
    requested = parser.parse_args()
    store = Store(requested.outputs)
    for anchor in requested.table:
        table = store.table_file(TABLES[anchor], "md").read_text()
        # The registered table and what its methods guarantee; the command prints the rest.
        lines = re.split(r"\n#+ ", table.split("\n", 1)[1])[0].strip().splitlines()
        # A row without numbers belongs to a method that the experiment does not run.
        kept = [x for x in lines if not x.startswith("| **") or " n=" in x]
        shown = "\n".join(kept)
        declared = re.findall(r"^- Privacy of .*$", table, flags=re.MULTILINE)
        start, end = f"<!-- table:{anchor} -->", "<!-- /table -->"
        put(PAGE, start, end, [shown, "", *declared])


if __name__ == "__main__":
    main()
