"""Reports unreadable configuration files in one sentence."""

import contextlib
from collections.abc import Iterator

from hydra.plugins.config_source import ConfigLoadError
from yaml import YAMLError

from trustbench.errors import ConfigError
from trustbench.store.yaml_errors import unreadable


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Reads a file inside the block.

    Raises:
        ConfigError: it is not YAML, not text, or not readable.
    """
    try:
        yield
    except ConfigLoadError:
        raise  # Hydra looks for it elsewhere
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        file = path if path.endswith(".yaml") else f"{path}.yaml"
        raise ConfigError(unreadable(file, error)) from error
