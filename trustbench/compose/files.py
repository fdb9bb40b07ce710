"""What is wrong with a YAML file that cannot be read, in one sentence."""

import contextlib
from collections.abc import Iterator

from hydra.plugins.config_source import ConfigLoadError
from yaml import MarkedYAMLError, YAMLError

from trustbench.errors import ConfigError


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Inside, a file is read.

    Raises:
        ConfigError: it is not YAML, not text, or not to be read.
    """
    file = path if path.endswith(".yaml") else f"{path}.yaml"
    try:
        yield
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = error.problem or error.context
        raise ConfigError(f"{file}{line}: {problem}; correct the file.") from error
    except YAMLError as error:  # characters that YAML does not allow
        raise ConfigError(f"{file} is not YAML: {_line(error)}; correct the file.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text; save it as UTF-8.") from error
    except ConfigLoadError:
        raise  # Hydra looks for it elsewhere
    except OSError as error:
        if error.errno is None:  # OmegaConf's, for a file with a number in it
            raise ConfigError(
                f"{file} holds no keys; write one `key: value` on each line."
            ) from error
        raise ConfigError(f"{file} cannot be read ({error.strerror}); make it readable.") from error


def _line(error: YAMLError) -> str:
    return " ".join(str(error).split()).rstrip(".")
