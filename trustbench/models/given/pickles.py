"""A pickled scikit-learn estimator: the only file that may run code, and only with --trust."""

import pickle
from typing import ClassVar

from typing_extensions import override

from trustbench.contracts.given import PICKLE, Adapter, GivenModel, ModelSource
from trustbench.errors import UserError
from trustbench.models.given.estimators import estimator
from trustbench.models.given.files import digest

PICKLES = (".pkl", ".pickle", ".joblib")
# what pickle raises on damaged files and on classes that moved
_UNREADABLE = (
    pickle.UnpicklingError, EOFError, ImportError, AttributeError, LookupError, TypeError,
    ValueError,
)  # fmt: skip


class PickleAdapter(Adapter):
    """Reads a pickle or a file of joblib, only if the user trusts it."""

    kind: ClassVar[str] = "a pickled scikit-learn estimator, with --trust"
    example: ClassVar[str] = "model.pkl"

    @override
    def accepts(self, source: ModelSource) -> bool:
        return source.path is not None and source.path.suffix.lower() in PICKLES

    @override
    def open(self, source: ModelSource) -> GivenModel:
        path = source.path
        assert path is not None
        if PICKLE not in source.trust:
            raise UserError(
                f"model {path} is a pickle, which runs the code that it holds when it is opened; "
                "save it with skops.io.dump(estimator, path), or add --trust if you made it."
            )
        import joblib

        try:
            fitted = joblib.load(path)
        except _UNREADABLE as error:
            raise UserError(
                f"model {path} cannot be unpickled ({error}); install the packages and versions "
                "that wrote it."
            ) from error
        return estimator(fitted, path.name, digest(path))
