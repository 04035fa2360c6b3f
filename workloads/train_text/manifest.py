"""The pods that run the training, as a gang (gang.py): `tiny` on CPUs, `reference` with `gpus` a pod.

It keeps no checkpoints: a TrainJob that loses a pod begins again, in a run of its own.
"""

from functools import partial

from workloads import gang

NAME = "train-text"
FORMS = gang.FORMS
objects = partial(gang.workload, "workloads.train_text.main", name=NAME)
