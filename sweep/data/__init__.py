"""The data: pairs in the challenge's layout, of NYU Depth v2 or of one's own, or generated ones, as arrays."""

from sweep.data.cache import default_cache, load_dataset, load_test_split
from sweep.data.contact_sheet import contact_sheet
from sweep.data.dataset import JUDGE_SIZE, TRAIN_SIZE, Dataset, DatasetError, Split, TestSplit
from sweep.data.demo import DemoSize
from sweep.data.images import ImageError
from sweep.data.prepare import Data, prepare_dataset, prepare_test_split
from sweep.data.source import Frame, Listing, Source
from sweep.data.sources import open_source

__all__ = [
    "JUDGE_SIZE",
    "TRAIN_SIZE",
    "Data",
    "Dataset",
    "DatasetError",
    "DemoSize",
    "Frame",
    "ImageError",
    "Listing",
    "Source",
    "Split",
    "TestSplit",
    "contact_sheet",
    "default_cache",
    "load_dataset",
    "load_test_split",
    "open_source",
    "prepare_dataset",
    "prepare_test_split",
]
