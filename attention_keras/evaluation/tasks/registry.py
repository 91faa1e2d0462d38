"""The function that carries out each task; names of the tasks and their options are in `options.py`."""

from collections.abc import Callable, Mapping

from attention_keras.evaluation.options import (
    ClassificationOptions,
    CommonOptions,
    FaithfulnessOptions,
    MapsOptions,
    QueryOptions,
    RobustnessOptions,
    SegmentationOptions,
    TransferOptions,
)
from attention_keras.evaluation.report.result import TaskResult
from attention_keras.evaluation.tasks.classification import measure_classification
from attention_keras.evaluation.tasks.context import Context
from attention_keras.evaluation.tasks.faithfulness import measure_faithfulness
from attention_keras.evaluation.tasks.maps import draw_maps
from attention_keras.evaluation.tasks.query import measure_queries
from attention_keras.evaluation.tasks.robustness import measure_robustness
from attention_keras.evaluation.tasks.segmentation import measure_segmentation
from attention_keras.evaluation.tasks.transfer import measure_transfer

FUNCTIONS: Mapping[type[CommonOptions], Callable[[Context], TaskResult]] = {
    ClassificationOptions: measure_classification,
    MapsOptions: draw_maps,
    FaithfulnessOptions: measure_faithfulness,
    SegmentationOptions: measure_segmentation,
    RobustnessOptions: measure_robustness,
    QueryOptions: measure_queries,
    TransferOptions: measure_transfer,
}
