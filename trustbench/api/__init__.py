"""What commands do and notebooks call: run, read records, build tables, gate, report.

`trustbench` itself exports these functions (`import trustbench`), and imports a module of this room
when one of its names is first used. Commands parse their arguments, call a function of this room
and print the result.
"""
