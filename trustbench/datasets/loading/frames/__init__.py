"""Reads any table from a file: sniffs its form and the types of its columns, and says why.

`read_frame` is the way in. The form of a file is decided first (`formats`, `encodings`, `dialects`,
`headers`), its fields are parsed as text (`parsing`, `arrow_files`), and then each column is given
its type (`typed` and `arrow_columns`, with `numbers`, `signs`, `dates` and `pairs`). pyarrow
parses; the code here decides the options. Every decision can be overridden with a field of
`Reading`.
"""

from trustbench.datasets.loading.frames.read import read_frame
from trustbench.datasets.loading.frames.reading import Frame, Reading

__all__ = ["Frame", "Reading", "read_frame"]
