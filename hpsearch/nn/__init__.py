"""The network core: many small networks of one structure, trained side by side as lanes (NumPy only)."""

from hpsearch.nn.cost import flops_per_trial, lanes_for, parameter_count
from hpsearch.nn.initializers import INITIALIZERS, Initializer, he
from hpsearch.nn.lanes import Purpose, lane_rng
from hpsearch.nn.layers import ACTIVATIONS, Affine, Layer, ReLU
from hpsearch.nn.losses import SoftmaxCrossEntropy
from hpsearch.nn.network import Network
from hpsearch.nn.optimizers import OPTIMIZERS, SGD, Optimizer
from hpsearch.nn.training import Ended, Epoch, TrainingData, evaluate, train

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "OPTIMIZERS",
    "SGD",
    "Affine",
    "Ended",
    "Epoch",
    "Initializer",
    "Layer",
    "Network",
    "Optimizer",
    "Purpose",
    "ReLU",
    "SoftmaxCrossEntropy",
    "TrainingData",
    "evaluate",
    "flops_per_trial",
    "he",
    "lane_rng",
    "lanes_for",
    "parameter_count",
    "train",
]
