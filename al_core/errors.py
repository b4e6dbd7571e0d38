"""Every error raised on purpose, and two questions about errors that torch raises."""


class ActiveLearningError(Exception):
    """Base of all errors of this package; ``str(error)`` is a sentence that says what to do."""


class SourceError(ActiveLearningError):
    """A source of images is unknown, empty, damaged, gone, or has changed."""


class DownloadError(SourceError):
    """An archive could not be downloaded from any of its mirrors."""


class ConfigError(ActiveLearningError):
    """A setting, or two settings together, cannot work."""


class FileNotWritten(ActiveLearningError):
    """The disk refused a file; whatever was there before is unchanged."""


class WeightsError(ActiveLearningError):
    """Network weights could not be downloaded or read."""


class StoreError(ActiveLearningError):
    """The database cannot be opened, read or written."""


class StoreUnavailable(StoreError):
    """The database refuses for now; nothing was written, and trying again later may work."""


class UnknownExperiment(StoreError):
    """The database holds no such experiment."""


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether less work at a time might have succeeded; torch reveals it only in its message."""
    symptoms = (
        "out of memory",
        "can't allocate memory",
        "not enough memory",
        "alloc_failed",
        "unable to find an engine",  # cuDNN, when no algorithm's scratch space fits
    )
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in symptoms)


def has_lost_the_gpu(error: BaseException) -> bool:
    """Whether CUDA can do nothing more for this process: its context is gone for good."""
    symptoms = ("device-side assert", "illegal memory access", "unspecified launch failure")
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in symptoms)
