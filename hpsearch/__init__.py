"""hpsearch: staged random search for hyperparameters.

`Search` is the place to begin. Importing the package loads nothing heavy: what needs more than the standard library is
loaded at its first use.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING

from hpsearch import errors
from hpsearch.errors import BadArgument as BadArgument
from hpsearch.errors import BadData as BadData
from hpsearch.errors import BadInput as BadInput
from hpsearch.errors import BadSpace as BadSpace
from hpsearch.errors import BadStorage as BadStorage
from hpsearch.errors import BadStudyFile as BadStudyFile
from hpsearch.errors import DamagedStorage as DamagedStorage
from hpsearch.errors import DownloadFailure as DownloadFailure
from hpsearch.errors import EvaluatedAlready as EvaluatedAlready
from hpsearch.errors import EvaluationFailure as EvaluationFailure
from hpsearch.errors import HpsearchError as HpsearchError
from hpsearch.errors import Interrupted as Interrupted
from hpsearch.errors import MissingExtra as MissingExtra
from hpsearch.errors import NotEnoughTrials as NotEnoughTrials
from hpsearch.errors import OutputFailure as OutputFailure
from hpsearch.errors import ServerFailure as ServerFailure
from hpsearch.errors import StageConflict as StageConflict
from hpsearch.errors import StorageFailure as StorageFailure
from hpsearch.errors import TransientStorageError as TransientStorageError
from hpsearch.errors import UnknownSearch as UnknownSearch

if TYPE_CHECKING:
    from hpsearch.api import Search as Search
    from hpsearch.api import import_trials as import_trials
    from hpsearch.api import searches as searches
    from hpsearch.records import Action as Action
    from hpsearch.records import Argument as Argument
    from hpsearch.records import Job as Job
    from hpsearch.records import Line as Line
    from hpsearch.records import Stage as Stage
    from hpsearch.records import Trial as Trial
    from hpsearch.service.client import Client as Client
    from hpsearch.space import Categorical as Categorical
    from hpsearch.space import Float as Float
    from hpsearch.space import Int as Int
    from hpsearch.store import open_store as open_store

__version__ = "0.3.0"

_LATE = {
    "api": ("Search", "import_trials", "searches"),
    "records": ("Action", "Argument", "Job", "Line", "Stage", "Trial"),
    "service.client": ("Client",),
    "space": ("Categorical", "Float", "Int"),
    "store": ("open_store",),
}
# In a notebook without ipywidgets Optuna's bars cannot be shown; hpsearch has its own.
warnings.filterwarnings("ignore", "IProgress not found")
_ERRORS = [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)]
__all__ = sorted([*_ERRORS, *(name for names in _LATE.values() for name in names)])


def __getattr__(name: str) -> object:
    for module, names in _LATE.items():
        if name in names:
            return getattr(import_module(f"hpsearch.{module}"), name)
    raise AttributeError(f"module 'hpsearch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
