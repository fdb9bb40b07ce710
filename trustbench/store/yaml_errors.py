"""Explains why a YAML file cannot be read, in one sentence without PyYAML's or Python's text."""

from yaml import MarkedYAMLError, YAMLError

from trustbench.store.yaml_text import UnboundedYaml


def unreadable(file: str, error: OSError | UnicodeDecodeError | YAMLError) -> str:
    """The sentence for an error raised while `file` was read.

    >>> unreadable("a.yaml", FileNotFoundError(2, "No such file or directory"))
    'a.yaml cannot be read: No such file or directory; give a YAML file that can be.'
    """
    if isinstance(error, MarkedYAMLError):
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        problem = error.problem or error.context or ""
        if problem.startswith("but ") and error.context:
            problem = f"{error.context.removesuffix(' in the stream')}, {problem}"
        what = f"{line}{problem}; correct the file"
    elif isinstance(error, UnboundedYaml):
        what = f"{error}; write a smaller file"
    elif isinstance(error, YAMLError):  # characters that YAML does not allow
        what = "it holds characters that YAML does not allow; correct the file"
    elif isinstance(error, UnicodeDecodeError):
        what = "it is not UTF-8 text; save it as UTF-8"
    else:
        what = f"{error.strerror or 'it holds no keys'}; give a YAML file that can be"
    return f"{file} cannot be read: {what}."
