"""What can go wrong with an export or with a TFLite file. All are the candidate's or the file's fault:
trying again changes nothing."""


class ExportError(Exception):
    """The network cannot be exported faithfully: an unsupported operator, or outputs that differ."""


class UnsupportedOperatorError(ExportError):
    """An operator, or a form of one, outside the closed set of the exporter."""


class ParityError(ExportError):
    """The exported file computes something else than the network."""


class IncompatibleRuntime(ExportError):
    """The runtime that the file is meant for does not know one of its operators."""


class ContractError(ValueError):
    """A TFLite file does not keep the contract: its input or output has another type or shape."""


class RunnerError(RuntimeError):
    """A TFLite interpreter refused a file or failed on it."""
