"""Trains the classifier of `train_delay` with TensorFlow: the same data, network, first weights and steps."""
