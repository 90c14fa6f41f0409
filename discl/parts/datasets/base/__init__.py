"""Base classes and helpers of datasets; this is what the author of a dataset needs.

- Photos that lie in files: inherit `FileDataset` (file_dataset.py). Give `folder_name`, `classes`,
  `holds`, `listings` and `prompts`; finding the folder, downloads, checks of the metadata, missing
  and unreadable files, decoding and the identity are inherited. places_lt.py is a short example.
- Photos of CIFAR-10 in another selection: use `Cifar10` (../cifar10/photos.py).
- Anything else: implement the interface `Dataset` of discl/core/interfaces.py without a base class.

Helpers: text_lists.py reads lists of "path label" lines, long_tail.py thins classes to a long tail,
class_names.py makes English class names from the names of folders. ../layouts/ holds the layouts
that the dataset `folder` reads; a new layout of own photos is one file there.
"""
