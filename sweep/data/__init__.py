"""The data: the challenge's layout on disk, or generated demo data, as memory-mapped arrays."""

from sweep.data.cache import default_cache, load_dataset, load_test_split
from sweep.data.contact_sheet import contact_sheet
from sweep.data.dataset import JUDGE_SIZE, TRAIN_SIZE, Dataset, DatasetError, Split, TestSplit
from sweep.data.demo import DemoSize
from sweep.data.prepare import prepare_dataset, prepare_test_split

__all__ = [
    "JUDGE_SIZE",
    "TRAIN_SIZE",
    "Dataset",
    "DatasetError",
    "DemoSize",
    "Split",
    "TestSplit",
    "contact_sheet",
    "default_cache",
    "load_dataset",
    "load_test_split",
    "prepare_dataset",
    "prepare_test_split",
]
