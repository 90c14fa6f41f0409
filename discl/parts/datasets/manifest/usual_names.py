"""Names that people give to splits and columns, and how they write that a value is missing."""

from __future__ import annotations

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
IMAGE_COLUMNS = (
    "file_name", "filename", "filepath", "file_path", "file", "path", "image", "image_path",
    "img_path", "img", "image_name", "image_file", "image_id", "picture", "photo", "id",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "class", "class_name", "category", "category_name", "species", "target",
    "fine_label", "identity", "common_name", "scientific_name", "label_name", "y",
)  # fmt: skip
SPLIT_COLUMNS = ("split", "fold", "subset", "partition", "set", "usage")
GROUP_COLUMNS = (
    "group", "camera", "camera_id", "location", "location_id", "site", "site_id", "station",
    "deployment", "patient", "patient_id",
)  # fmt: skip
SEQUENCE_COLUMNS = (
    "sequence",
    "seq",
    "seq_id",
    "sequence_id",
    "burst",
    "burst_id",
    "event",
    "event_id",
)
CAPTION_COLUMNS = ("caption", "text", "description")
MISSING = frozenset(
    ["", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "nil", "<na>", "?", "-", "--"]
)


def is_missing(value: object) -> bool:
    """Whether a value of a label, a group or a split says that there is none."""
    return value is None or value != value or str(value).strip().lower() in MISSING


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
