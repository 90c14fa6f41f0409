"""Names that people give to splits and columns, and how they write that a value is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence

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
    "evaluation": "test",
    "holdout": "test",
    "trainval": "train",
    "validate": "val",
    "id_val": "id_val",
    "id_test": "id_test",
    "entrenamiento": "train",
    "treino": "train",
    "treinamento": "train",
    "entrainement": "train",
    "entraînement": "train",
    "训练": "train",
    "训练集": "train",
    "validacion": "val",
    "validación": "val",
    "validacao": "val",
    "validação": "val",
    "validierung": "val",
    "验证": "val",
    "验证集": "val",
    "prueba": "test",
    "pruebas": "test",
    "teste": "test",
    "测试": "test",
    "测试集": "test",
}
# words that are put around a split's name: train_images, training_set, seg_train, data_val
SPLIT_AFFIXES = (
    "images", "image", "imgs", "img", "pictures", "pics", "photos", "jpg", "jpeg", "png", "set",
    "sets", "data", "dataset", "datasets", "split", "subset", "partition", "folder", "files", "seg",
    "resized", "cropped", "crops", "raw", "full", "all", "labeled", "labelled",
)  # fmt: skip
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
    "taxon", "vernacular_name", "species_common_name", "species_scientific_name", "choice",
    "prediction_string", "diagnosis", "dx", "identity", "individual", "individual_id", "tag",
    "tags", "ground_truth", "gt", "finding_labels", "cell_type", "class_label", "class_id",
    "category_id", "label_id", "species_id", "class_index", "y",
)  # fmt: skip
# ranks of a taxonomy: beside them `class` is one, such as Mammalia
RANKS = frozenset(["kingdom", "phylum", "order", "family", "genus"])
# columns with the folder of a file name, beside those of cameras and of classes
FOLDER_COLUMNS = (
    "relative_path", "rel_path", "folder", "folder_name", "directory", "dir", "dirname",
    "subfolder", "sub_folder", "subdir", "path", "image_path", "file_path", "filepath", "parent",
    "image_folder", "img_folder", "root_folder", "media_folder",
)  # fmt: skip
SPLIT_COLUMNS = (
    "split", "subset", "partition", "data_split", "original_split", "fold", "set", "usage", "phase",
    "data_set",
)  # fmt: skip
# yes and no -> the splits that they mean
# 0, 1 and 2 in these are train, val and test, as in CelebA and WILDS
NUMBERED_SPLITS = {"0": "train", "1": "val", "2": "test"}
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
    "station_id", "deployment", "deployment_id", "patient", "patient_id", "subject",
    "subject_id", "lesion_id", "plot", "trap", "camera_name", "camera_number", "location_name",
    "site_name", "station_name", "deployment_name", "camera_trap", "camera_trap_id", "cameratrap",
    "trap_id", "trap_name", "plot_id", "plot_name", "locality", "transect", "cam", "cam_id",
)  # fmt: skip
SEQUENCE_COLUMNS = (
    "sequence", "seq", "seq_id", "sequence_id", "burst", "burst_id", "event", "event_id",
    "encounter", "encounter_id", "capture_id",
)  # fmt: skip
CAPTION_COLUMNS = ("caption", "text", "description")
MISSING = frozenset(
    [
        "",
        "na",
        "n/a",
        "#n/a",
        "nan",
        "-nan",
        "null",
        "none",
        "nil",
        "<na>",
        "?",
        "-",
        "--",
        ".",
        "n.a.",
        "<null>",
        "(null)",
        "\\n",
    ]
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

    `validation` is `val`; `train_images`, `training_set`, `TrainData` and `train2017` are `train`;
    `ood_night` is `ood/night`.
    """
    text = name.strip().lower().replace("-", "_").replace(" ", "_")
    if text.startswith(("ood_", "ood/")) and len(text) > 4:
        return "ood/" + name.strip()[4:]
    if text in SPLITS:
        return SPLITS[text]
    words = re.sub(r"^\d{1,2}_", "", plain_name(name))  # 01_train
    while (shorter := _without_affix(words)) != words:
        words = shorter
    return SPLITS.get(words)


def splits_of(names: Sequence[str]) -> dict[str, str]:
    """The names beside each other that stand for splits -> their splits.

    As `split_of`; and where names differ by a split's word alone, as `birds_train` and
    `birds_test` do, by that word.
    """
    found = {name: split for name in names if (split := split_of(name)) is not None}
    of_rest: dict[str, dict[str, str]] = {}
    for name in names:
        words = plain_name(name).split("_")
        for word, rest in ((words[0], words[1:]), (words[-1], words[:-1])):
            if name not in found and word in SPLITS and rest:
                of_rest.setdefault("_".join(rest), {})[name] = SPLITS[word]
    for splits in of_rest.values():
        if len(set(splits.values())) > 1:
            found |= splits
    return found


def _without_affix(words: str) -> str:
    """A plain name without one word around that of a split, or without digits at its end."""
    for affix in SPLIT_AFFIXES:
        for rest in (words.removeprefix(affix + "_"), words.removesuffix("_" + affix)):
            if rest != words and rest:
                return rest
        joined = words.removesuffix(affix)
        if joined in SPLITS:
            return joined
    return re.sub(r"_?\d{1,4}$", "", words) or words
