"""The miniature's tokenizer: CLIP's kind, small enough to ship, with few tokens a caption."""

from __future__ import annotations

from transformers import CLIPTokenizer

TEMPLATES = (
    "a photo of a {}",
    "a photo of an {}",
    "a photo of the {}",
    "a picture of a {}",
    "a {}",
    "{}",
)
CONTEXT = 16  # tokens a caption, start and end included
_START = "<|startoftext|>"
_END = "<|endoftext|>"


def captions(classes: list[str]) -> list[list[str]]:
    """For each class, its caption under every template."""
    return [[template.format(name) for template in TEMPLATES] for name in classes]


def build_tokenizer(classes: list[str]) -> CLIPTokenizer:
    """Byte-level BPE over all 256 bytes, with merges that join each caption word letter by letter.

    Any text is accepted. Words compete for pairs of letters, so some stay in a few pieces ('photo'
    in four); captions fit into CONTEXT tokens all the same.
    """
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    vocabulary = letters + [letter + "</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    every_caption = " ".join(caption for group in captions(classes) for caption in group)
    for word in sorted(set(every_caption.split())):
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            pair = (pieces[0], pieces[1])
            if pair not in merges:
                merges.append(pair)
            pieces[:2] = ["".join(pair)]
            if pieces[0] not in vocabulary:
                vocabulary.append(pieces[0])
    # the end token has the highest number: that is how CLIP text encoders find it
    numbers = {token: number for number, token in enumerate([*vocabulary, _START, _END])}
    return CLIPTokenizer(vocab=numbers, merges=merges, model_max_length=CONTEXT)
