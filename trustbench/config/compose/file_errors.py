"""Files of a configuration that cannot be read are told in one sentence."""

import contextlib
from collections.abc import Iterator

from hydra.plugins.config_source import ConfigLoadError
from yaml import YAMLError

from trustbench.errors import ConfigError
from trustbench.store.yaml_errors import unreadable


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Inside, a file is read.

    Raises:
        ConfigError: it is not YAML, not text, or not to be read.
    """
    try:
        yield
    except ConfigLoadError:
        raise  # Hydra looks for it elsewhere
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        file = path if path.endswith(".yaml") else f"{path}.yaml"
        raise ConfigError(unreadable(file, error)) from error
