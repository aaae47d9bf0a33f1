"""What a TFLite file does, what it costs, and what stands out in it."""

from sweep.export.inspection.examine import Inspection, examine, find_remarks

__all__ = ["Inspection", "examine", "find_remarks"]
