"""Text lists of the photos of each split, beside a list that gives the classes."""

from __future__ import annotations

from discl.core.errors import UserError
from discl.core.text import listed
from discl.parts.datasets.manifest.columns import coded, counted
from discl.parts.datasets.manifest.lists.choice import lists_of_one_kind, split_of_list
from discl.parts.datasets.manifest.lists.label_cells import with_column
from discl.parts.datasets.manifest.lists.reading import BATCH
from discl.parts.datasets.manifest.lists.text_lines import lines_table, text_lists
from discl.parts.datasets.manifest.rows import Contents, Decision
from discl.parts.datasets.manifest.tree import FileTree


def with_split_lists(contents: Contents, tree: FileTree) -> Contents:
    """Contents with the splits that text lists of paths alone give, where nothing else gives any.

    Raises UserError for a photo that stands in the lists of two splits.
    """
    if contents.rows["split"].null_count < contents.rows.num_rows:
        return contents
    found = {
        lines.ref: lines
        for lines in text_lists(tree)
        if not lines.separator and split_of_list(lines.ref)
    }
    chosen = lists_of_one_kind(list(found)) if found else []
    known_splits = set(map(split_of_list, chosen))
    chosen += [ref for ref in found if split_of_list(ref) not in known_splits]
    splits: dict[str, tuple[str, str]] = {}  # photo -> (split, list)
    for ref in chosen:
        lines = found[ref]
        split = split_of_list(ref) or ""
        for batch in lines_table(tree, lines).batches(("path",), BATCH):
            for cell in batch["path"]:
                photo = lines.finds(cell or "") or cell or ""
                known, first = splits.setdefault(photo, (split, ref))
                if known != split:
                    raise UserError(
                        f"{photo} stands in {first} and in {ref}: it can be in one split alone;"
                        " correct the lists"
                    )
    photos = coded(contents.rows["ref"])
    named = [splits[photo][0] if photo in splits else None for photo in photos.values]
    if not any(named):
        return contents
    rows = with_column(contents.rows, "split", photos.column(named))
    left = rows["split"].null_count
    remarks = [f"{counted(left, 'row')} of photos in none of {listed(chosen)}"] if left else []
    return contents.with_rows(rows, *remarks).decided(
        Decision("split", listed(chosen), "their lines are paths of photos")
    )
