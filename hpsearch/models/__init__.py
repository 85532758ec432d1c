"""Networks that are kept: what they say of new examples, and what other programs read of them."""

from hpsearch.models.describing import facts, headline, plain
from hpsearch.models.onnx_export import export_onnx
from hpsearch.models.predicting import Predictions, predict

__all__ = ["Predictions", "export_onnx", "facts", "headline", "plain", "predict"]
