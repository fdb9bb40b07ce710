"""Reports unreadable configuration files in one sentence."""

import contextlib
from collections.abc import Iterator

from hydra.plugins.config_source import ConfigLoadError
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from trustbench.errors import ConfigError
from trustbench.store.yaml_errors import unreadable
from trustbench.store.yaml_text import MISFITS, misfit


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Reads a file inside the block.

    Raises:
        ConfigError: it is not YAML, not text, or not readable.
    """
    try:
        yield
    except (ConfigLoadError, OmegaConfBaseException):
        raise  # Hydra looks for it elsewhere, or its caller puts it into words
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(unreadable(_file(path), error)) from error
    except MISFITS as error:
        raise ConfigError(unreadable(_file(path), misfit(error))) from error


def _file(path: str) -> str:
    return path if path.endswith((".yaml", ".yml")) else f"{path}.yaml"
