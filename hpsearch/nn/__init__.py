"""The network core: many small networks of one structure, trained side by side as lanes (NumPy only)."""

from hpsearch.nn.activations import ACTIVATIONS, ReLU, Sigmoid, Tanh
from hpsearch.nn.initializers import INITIALIZERS, Constant, Initializer, Normal, glorot, he, initializer, xavier
from hpsearch.nn.inputs import Inputs, TrainingData, live_inputs
from hpsearch.nn.lanes import Purpose, flops_per_trial, lane_rng, lane_rngs, lanes_for, parameter_count
from hpsearch.nn.layers import Affine, BatchNorm, Dropout, Layer
from hpsearch.nn.losses import SoftmaxCrossEntropy, evaluate
from hpsearch.nn.network import Network
from hpsearch.nn.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, Optimizer, RMSProp
from hpsearch.nn.saving import Model, load_model, save
from hpsearch.nn.schedules import SCHEDULES, Schedule
from hpsearch.nn.training import CURVE_NAMES, Epoch, History, record, train, train_epochs

__all__ = [
    "ACTIVATIONS",
    "CURVE_NAMES",
    "INITIALIZERS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Affine",
    "BatchNorm",
    "Constant",
    "Dropout",
    "Epoch",
    "History",
    "Initializer",
    "Inputs",
    "Layer",
    "Model",
    "Momentum",
    "Nesterov",
    "Network",
    "Normal",
    "Optimizer",
    "Purpose",
    "RMSProp",
    "ReLU",
    "Schedule",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Tanh",
    "TrainingData",
    "evaluate",
    "flops_per_trial",
    "glorot",
    "he",
    "initializer",
    "lane_rng",
    "lane_rngs",
    "lanes_for",
    "live_inputs",
    "load_model",
    "parameter_count",
    "record",
    "save",
    "train",
    "train_epochs",
    "xavier",
]
