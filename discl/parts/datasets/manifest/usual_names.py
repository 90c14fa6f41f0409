"""Names that people give to splits and columns, and how they write that a value is missing."""

from __future__ import annotations

import re

# after lower-casing; underscores, blanks and hyphens count alike
SPLITS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "eval": "test",
    "id_val": "id_val",
    "id_test": "id_test",
}
# words that are put around a split's name: train_images, training_set, seg_train, data_val
SPLIT_AFFIXES = (
    "images",
    "image",
    "imgs",
    "img",
    "set",
    "data",
    "split",
    "photos",
    "seg",
    "dataset",
)
# names of columns are compared as `plain_name` writes them
IMAGE_COLUMNS = (
    "ref", "file_name", "filename", "filepath", "file_path", "file", "path", "image", "image_path",
    "img_path", "img", "image_name", "img_name", "image_file", "image_filename", "image_id",
    "image_index", "img_id", "picture", "photo", "photo_id", "fname", "name", "relative_path",
    "rel_path", "jpg", "id",
)  # fmt: skip
# words before numbers
LABEL_COLUMNS = (
    "label", "labels", "class", "class_name", "category", "category_name", "species", "target",
    "fine_label", "breed", "common_name", "scientific_name", "label_name", "species_name", "animal",
    "taxon", "diagnosis", "dx", "identity", "individual", "individual_id", "tag", "tags",
    "ground_truth", "gt", "finding_labels", "cell_type", "class_label", "class_id", "category_id",
    "label_id", "species_id", "class_index", "y",
)  # fmt: skip
SPLIT_COLUMNS = (
    "split", "subset", "partition", "data_split", "original_split", "fold", "set", "usage", "phase",
    "data_set",
)  # fmt: skip
# yes and no -> the splits that they mean
SPLIT_FLAGS = {
    "is_train": ("train", "test"),
    "is_training": ("train", "test"),
    "is_training_image": ("train", "test"),
    "is_valid": ("val", "train"),
    "is_val": ("val", "train"),
    "is_validation": ("val", "train"),
    "is_test": ("test", "train"),
}
GROUP_COLUMNS = (
    "group", "camera", "camera_id", "location", "location_id", "site", "site_id", "station",
    "station_id", "deployment", "deployment_id", "patient", "patient_id", "plot", "trap",
)  # fmt: skip
SEQUENCE_COLUMNS = (
    "sequence", "seq", "seq_id", "sequence_id", "burst", "burst_id", "event", "event_id",
    "encounter", "encounter_id", "capture_id",
)  # fmt: skip
CAPTION_COLUMNS = ("caption", "text", "description")
MISSING = frozenset(
    ["", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "nil", "<na>", "?", "-", "--"]
)


def is_missing(value: object) -> bool:
    """Whether a value of a label, a group or a split says that there is none."""
    return value is None or value != value or str(value).strip().lower() in MISSING


def plain_name(column: str) -> str:
    """A column's name for comparison: `ImageId`, `image-id` and `Image ID` are `image_id`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip()).lower()
    return re.sub(r"[\W_]+", "_", words).strip("_")


def split_of(name: str) -> str | None:
    """The split that a folder, a file or a column's value stands for; None = for none.

    `validation` is `val`, `train_images` and `training_set` are `train`, `ood_night` is
    `ood/night`.
    """
    text = name.strip().lower().replace("-", "_").replace(" ", "_")
    if text.startswith(("ood_", "ood/")) and len(text) > 4:
        return "ood/" + name.strip()[4:]
    if text in SPLITS:
        return SPLITS[text]
    for affix in SPLIT_AFFIXES:
        for rest in (text.removeprefix(affix + "_"), text.removesuffix("_" + affix)):
            if rest != text and rest in SPLITS:
                return SPLITS[rest]
    return None
