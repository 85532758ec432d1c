"""A commented study file of the network to begin from; ``{name}`` is the search's."""

TEMPLATE = """\
# A study file: what to search, on which data, with which network. `hpsearch check {name}` says what it would do.
name = "{name}"

[data]
name = "mnist-10k"      # also: digits, mnist, fashion-mnist (`hpsearch data list`); or, instead of a name:
# path = "my.npz"       # .npz (x, y), .csv or .parquet with a label column, or a folder of IDX files
# label = "label"       # the label column of a table
train = 400             # images that fit the weights: a count, or a fraction such as 0.8
validation = 100        # images that score the hyperparameters
test = 1000             # kept aside for the final model; a search never reads them
seed = 0                # of the shuffle before the split
stratify = false        # true: every part has each class in proportion

[network]
hidden = [100, 100]     # units by hidden layer; "100x6" is six layers of 100
# hidden_layers = 2     # instead of hidden: depth and width, each of which may be searched
# hidden_units = 100
activation = "relu"
# activation = "tanh"   # or "sigmoid"
initializer = "he"
# initializer = "xavier"  # or "glorot", "zeros"; "normal" takes init_std, "constant" takes init_value
# init_std = 0.01
# init_value = 0.1
batch_norm = false      # true: batch normalisation before every activation
dropout = 0.0           # the share of hidden units that is dropped

[training]
optimizer = "sgd"
# optimizer = "adam"    # or "momentum", "nesterov", "adagrad", "rmsprop", "adamw"
batch_size = 100
epochs = 20
# lr = 0.01             # values here hold for every trial; those under [space] are sampled instead
# weight_decay = 0.0
# momentum = 0.9        # of momentum and nesterov
# rho = 0.99            # of rmsprop
# beta1 = 0.9           # of adam and adamw, like beta2
# beta2 = 0.999
# eps = 1e-8            # of adagrad, rmsprop, adam and adamw, each of which has its own unless it is given here
# lr_schedule = "step"  # or "exponential", "inverse_time": lr * lr_decay after lr_decay_epochs epochs; or "cosine"
# lr_decay = 0.5
# lr_decay_epochs = 10
# warmup_epochs = 0     # the rate rises linearly over the first ones
# evaluate_train = true # score the whole training set after each epoch, not the mini-batches as they pass

[space]
# A range: low, high; log = true draws on a log scale. limit = [lowest, highest] bounds `narrow --expand`.
lr = {{ low = 1e-4, high = 1.0, log = true }}
weight_decay = {{ low = 1e-8, high = 1e-2, log = true }}
# batch_size = {{ low = 20, high = 200, step = 20 }}
# hidden = {{ choices = ["50", "100", "100x2"] }}
# optimizer = {{ choices = ["sgd", "momentum", "adam"] }}
# momentum = {{ low = 0.5, high = 0.99 }}   # of the trials that use it
# dropout = {{ low = 0.0, high = 0.5 }}
# batch_norm = {{ choices = [true, false] }}

[trials]
count = 100             # of a stage, unless --trials says otherwise
seed = 0                # every draw derives from it

[objective]
metric = "validation_accuracy"   # or "validation_loss"
at = "last"             # the score is the last epoch's; or "best"

[pruning]
rule = "none"           # "halving": only the best 1 in reduction_factor goes on, and what ties with it;
                        # "median": only what is as good as the median of the trials before it
# reduction_factor = 4  # of "median" 2. Trials are compared after min_epochs epochs, and each time that factor times as
# min_epochs = 2        # many are over; by default a sixteenth of all epochs
# cohort = 100          # so many consecutive trials are compared with each other; of "median" 20
# startup_trials = 5    # of "median": so many must have run to the end before it stops any
"""
