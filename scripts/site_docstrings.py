"""An extension of griffe: examples in docstrings are shown as code on the site.

run: make docs
"""

import re

import griffe

EXAMPLE = re.compile(r"^>>> .*?(?=\n\n|\Z)", re.M | re.S)


class Examples(griffe.Extension):
    """Puts doctests, which stand alone in docstrings here, between fences of code."""

    def on_instance(self, *, obj, **_kwargs):
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(fenced, obj.docstring.value)


def fenced(match):
    return f"```pycon\n{match[0]}\n```"
