r"""Child-Pugh score from dynamic contrast-enhanced CT (study 000).

A ResNet18 with ImageNet weights regresses the score from axial patches of three
registered phases; slices are averaged to examinations; ten-fold cross-validation over
patients; Kendall's tau, and accuracy against the no-information rate.

    python -m liverjax.main --config=configs/cp_ct.py --workdir=runs/cp_ct \
        --config.cohort.manifest=manifest.csv

The paper reports tau 0.43 and accuracy 0.57 on 259 patients (12,492 patches, 15 minutes
a fold on one GPU of 2017). Where it is silent the line says so.

Variants: ``cp_ct.py:demo`` (a synthetic cohort made on the spot, a ResNet18 of a
quarter of the width from scratch, five folds, minutes on two CPU cores) and
``cp_ct.py:one_channel`` (the venous phase alone).
"""

from ml_collections import ConfigDict, config_dict


def get_config(variant: str = "") -> ConfigDict:
    """Returns the study: the paper's, or its variant ``demo`` or ``one_channel``."""
    config = ConfigDict()
    config.study = "Child-Pugh score from dynamic contrast-enhanced CT"
    config.workdir = "runs/cp_ct"

    config.cohort = ConfigDict()
    config.cohort.path = config_dict.placeholder(str)
    config.cohort.manifest = config_dict.placeholder(str)
    config.cohort.phantom = None
    config.cohort.workers = config_dict.placeholder(int)

    prepare = config.prepare = ConfigDict()
    prepare.channels = ("native", "arterial", "venous")
    prepare.optional_channels = ()  # silent: a missing phase excludes
    prepare.reference = "venous"  # the liver mask's phase
    prepare.registration = "rigid"  # elastix's default rigid map
    prepare.registration_region = "whole_image"
    prepare.registration_margin_mm = 10.0  # used by liver_margin only
    prepare.registration_spacing_mm = 1.5  # silent: block means, to save time
    prepare.registration_seed = 0
    prepare.window_centre_hu = 40.0
    prepare.window_width_hu = 400.0
    prepare.pad_hu = -1024.0  # silent: air
    prepare.inplane_spacing_mm = config_dict.placeholder(float)  # no resizing in plane
    prepare.slice_spacing_mm = 2.1  # silent: gives the paper's number of patches
    prepare.slice_range = (0.2, 0.8)  # of the liver's craniocaudal extent
    prepare.patch_px = 224
    prepare.store_px = 288  # margin for the warp
    prepare.patch_center = "liver_centroid"  # silent: "liver centre point"
    prepare.mask_channels = ()
    prepare.min_liver_coverage = 0.9
    prepare.visit_rule = "all"

    config.task = ConfigDict()
    config.task.name = "child_pugh"
    config.task.target = "points"  # silent: points or class index
    config.task.rounding = True  # predictions are rounded, then classed
    config.task.standardise = False  # silent

    config.model = ConfigDict()
    config.model.name = "resnet18"
    config.model.pretrained = "imagenet"
    config.model.weights_dir = "weights"
    config.model.compute_dtype = "float32"
    config.model.frozen = False  # True: linear heads on features, not augmented
    options = config.model.options = ConfigDict()  # None: what was published
    options.dropout = config_dict.placeholder(float)  # resnet18: 0
    options.drop_path = config_dict.placeholder(float)
    options.width = config_dict.placeholder(int)

    split = config.split = ConfigDict()
    split.folds = 10
    split.seed = 0
    split.select_fraction = 0.3  # 0.63 train, 0.27 select, 0.1 held out
    split.stratify = True  # silent; unstratified folds bias the pooled tau
    split.file = config_dict.placeholder(str)
    split.leak_check = True
    split.select_on = "select"

    augment = config.augment = ConfigDict()  # names from the paper, ranges silent
    augment.rotation_deg = (-15.0, 15.0)
    augment.rotation_probability = 1.0
    augment.scale = (0.8, 1.25)
    augment.scale_probability = 1.0
    augment.elastic_px = (0.0, 12.0)
    augment.elastic_grid_px = 32
    augment.elastic_probability = 1.0
    augment.flip_rows_probability = 0.0
    augment.flip_columns_probability = 0.0
    augment.contrast = (0.75, 1.25)
    augment.contrast_probability = 0.0
    augment.brightness = (-0.1, 0.1)
    augment.brightness_probability = 0.0
    augment.noise_std = (0.0, 0.05)
    augment.noise_probability = 0.0

    train = config.train = ConfigDict()
    train.epochs = 20
    train.batch_size = 32  # silent
    train.steps_per_epoch = config_dict.placeholder(int)  # silent: every patch once
    train.learning_rate = 5e-4  # Adam
    train.schedule = "halving"
    train.schedule_every = 10
    train.schedule_factor = 0.5
    train.l2 = 1e-3  # in the gradient, as PyTorch's Adam
    train.weight_decay = 0.0
    train.betas = (0.9, 0.999)  # silent
    train.eps = 1e-8  # silent
    train.early_stopping = config_dict.placeholder(int)
    train.select_unit = "examination"  # silent: slice or examination
    train.seeds = 1
    train.seed = 0
    train.trials = ConfigDict({"learning_rate": (), "l2": (), "weight_decay": ()})
    train.save_every_s = 60.0
    train.piece_s = 5.0

    config.data = ConfigDict({"placement": "auto"})  # or "resident", "stream"
    config.data.memory_gib = config_dict.placeholder(float)  # None: what is free
    # Not the paper's: classifiers on radiomics (study 002) beside the network.
    radiomics = ConfigDict({"run": False, "channels": (), "by_slice": False})
    radiomics.features = config_dict.placeholder(str)  # None: measured here
    radiomics.settings = ConfigDict()
    radiomics.repeats = 0  # perturbed images an examination, for reproducibility
    radiomics.min_icc = 0.75
    radiomics.seed = 0
    config.baselines = ConfigDict({"radiomics": radiomics})

    # Devices a member; span: one network over all devices of all processes.
    config.mesh = ConfigDict({"data": 1, "span": False})
    config.members = config_dict.placeholder(tuple)  # of this start; None: all

    if variant == "demo":
        _demo(config)
    elif variant == "one_channel":
        config.study += ", venous phase alone"
        prepare.channels = ("venous",)
        prepare.registration = "none"
    elif variant:
        raise ValueError(f"variant {variant!r}: expected 'demo' or 'one_channel'")
    return config


def _demo(config: ConfigDict) -> None:
    """Shrinks the study to minutes on two CPU cores."""
    config.study += " (demo on a synthetic cohort)"
    config.workdir = "runs/demo"
    config.cohort.phantom = ConfigDict(
        {"subjects": 64, "seed": 0, "effect": 1.0, "visibility": 0.8, "size": "demo"}
    )
    config.prepare.inplane_spacing_mm = 2.5
    config.prepare.slice_spacing_mm = 12.0
    config.prepare.patch_px = 80
    config.prepare.store_px = 104
    config.model.pretrained = "none"  # nothing is fetched
    config.model.options.width = 16  # a quarter of resnet18's
    config.split.folds = 5
    config.augment.elastic_px = (0.0, 4.0)
    config.augment.elastic_grid_px = 16
    config.train.epochs = 40
    config.train.batch_size = 16
    config.train.schedule_every = 20
