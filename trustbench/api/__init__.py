"""What the commands do and a notebook calls: run, read records, make tables, gate, report.

`trustbench` itself offers these functions (`import trustbench`), and imports a module of this room
when one of its names is first used. Commands parse their arguments, call a function of this room
and print. It stands between the two, above everything that computes: so it is a room of its own.
"""
