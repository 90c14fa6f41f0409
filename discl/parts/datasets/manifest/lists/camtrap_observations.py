"""What the observations of a Camtrap DP package say of its media."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.core.text import counted
from discl.parts.datasets.manifest.boxes import clip_boxes
from discl.parts.datasets.manifest.columns import coded, some
from discl.parts.datasets.manifest.lists.camtrap_events import Event, Events, seconds_of
from discl.parts.datasets.manifest.lists.camtrap_package import CamtrapPackage
from discl.parts.datasets.manifest.lists.find_photos import counts_of
from discl.parts.datasets.manifest.rows import row_schema

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]
# types of observations that are classes; an animal has its name, what else there is is unlabelled
_CLASSES = {"human": "human", "vehicle": "vehicle", "blank": "blank"}


class Observations:
    """Observations [o] and media [m] of a package; `remarks` tell what was noticed.

    `label` is the column with the names of animals, "" for `scientificName`; `english`: whether
    they are translated by the package.
    """

    def __init__(self, package: CamtrapPackage, label: str, english: bool) -> None:
        self.where = package.folder or "Camtrap DP"
        self.label = label
        self.english = english
        self.names = package.english
        self.media = package.media
        self.observations = package.observations
        self.remarks: list[str] = []

    def _note(self, text: str) -> None:
        self.remarks.append(f"{self.where}: {text}")

    def labels(self) -> pa.Array:
        """The class of each observation; null where it names none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kinds = pc.fill_null(pc.utf8_lower(self.observations["observationType"]), "animal")
        names = self.observations[self.label or "scientificName"]
        if self.english:
            written = coded(names)
            names = written.column([self.names.get(name, name) for name in written.values])
            missing = [name for name in written.values if name not in self.names]
            if missing:
                self._note(f"no English name of {some(missing)} in the package: the name is kept")
        animal = pc.equal(kinds, "animal")
        own = pc.index_in(kinds, pa.array(list(_CLASSES)))
        labels = pc.if_else(animal, names, pa.array(list(_CLASSES.values())).take(own))
        labels = pa.chunked_array(labels.chunks, pa.string()).combine_chunks()
        nameless = pc.and_(animal, pc.is_null(labels))
        if count := pc.sum(nameless).as_py():
            self._note(f"{counted(count, 'observation')} of animals without a name")
        unknown = pc.and_(pc.invert(animal), pc.is_null(labels))
        if count := pc.sum(unknown).as_py():
            told = counts_of(pa.chunked_array([kinds.filter(unknown).combine_chunks()]))
            self._note(f"{counted(count, 'observation')} without a class ({told})")
        return labels

    def joined(self) -> tuple[Ints, Ints, list[str | None]]:
        """(media [r], observation [r] or -1) of each row, and the event of each media."""
        import pyarrow.compute as pc

        observed = self.observations
        of_event = np.asarray(
            pc.equal(pc.fill_null(pc.utf8_lower(observed["observationLevel"]), ""), "event")
        )
        found = pc.index_in(observed["mediaID"], self.media["mediaID"], skip_nulls=True)
        media = np.where(of_event, -1, np.asarray(pc.fill_null(found, -1))).astype(np.int64)
        by_event = of_event | np.asarray(observed["mediaID"].is_null())
        if strays := int(((media < 0) & ~by_event).sum()):
            self._note(f"{counted(strays, 'observation')} of media that are not listed, left out")
        events: list[str | None] = self.media["eventID"].to_pylist()
        for place, event in zip(media.tolist(), observed["eventID"].to_pylist(), strict=True):
            if place >= 0:
                events[place] = events[place] or event
        kinds = pc.fill_null(pc.utf8_lower(observed["observationType"]), "")
        rows = np.flatnonzero((media >= 0) & ~np.asarray(pc.equal(kinds, "unclassified")))
        media = media[rows]
        without = np.setdiff1d(np.arange(len(self.media)), media)
        of_media = observed.select(["deploymentID", "eventID"]).take(rows)
        seen = set(zip(*(column.to_pylist() for column in of_media.columns), strict=True))
        more = self._of_events(np.flatnonzero(by_event), without, seen, events)
        unlabelled = np.setdiff1d(without, more[0])
        pairs = np.concatenate(
            [
                np.stack([media, rows]),
                more,
                np.stack([unlabelled, np.full(len(unlabelled), -1)]),
            ],
            1,
        )
        pairs = pairs[:, np.lexsort(pairs[::-1])]
        return pairs[0], pairs[1], events

    def _of_events(
        self,
        observations: Ints,
        media: Ints,
        seen: set[tuple[str | None, str | None]],
        events: list[str | None],
    ) -> Ints:
        """[2, r] media and the observations of the events in which they were taken.

        Notes the event of each media in `events`. Events in `seen` have observations of media.
        """
        listed = self.observations.take(observations)
        columns = (
            listed[name].to_pylist()
            for name in ("deploymentID", "eventID", "eventStart", "eventEnd")
        )
        known = Events()
        of_event: dict[tuple[str | None, str], list[int]] = defaultdict(list)
        skipped = untimed = 0
        for row, deployment, event, start, end in zip(observations.tolist(), *columns, strict=True):
            begin, finish = seconds_of(start), seconds_of(end)
            number = event or f"{deployment} {start}"
            if begin is not None and deployment:
                known.add(deployment, Event(begin, begin if finish is None else finish, number))
            elif event is None:
                untimed += 1
            if (deployment, event) in seen:
                skipped += 1
            else:
                of_event[deployment, number].append(row)
        pairs = []
        labelled = np.ones(len(self.media), bool)
        labelled[media] = False
        for place, (deployment, written) in enumerate(
            zip(
                self.media["deploymentID"].to_pylist(),
                self.media["timestamp"].to_pylist(),
                strict=True,
            )
        ):
            if labelled[place] and events[place] is not None:
                continue
            numbers = [events[place] or ""]
            if events[place] is None:
                time = seconds_of(written)
                numbers = [] if time is None else [one.number for one in known.at(deployment, time)]
            if numbers:
                events[place] = numbers[0]
            if not labelled[place]:
                pairs += [
                    (place, row)
                    for number in numbers
                    for row in of_event.get((deployment, number), ())
                ]
        if skipped:
            self._note(
                f"{counted(skipped, 'observation')} of events not used, for their photos have"
                " observations of their own"
            )
        if untimed:
            self._note(f"{counted(untimed, 'observation')} of events without a time, left out")
        if pairs:
            number = len({place for place, _ in pairs})
            self._note(
                f"{counted(number, 'photo')} labelled by the event in which they were taken: a"
                " photo of one need not show the animal"
            )
        return np.array(pairs, np.int64).reshape(-1, 2).T

    def boxes(self) -> pa.Array:
        """The box of each observation as shares; null where there is none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        names = ("bboxX", "bboxY", "bboxWidth", "bboxHeight")
        columns = []
        for name in names:
            texts = self.observations[name].combine_chunks()
            number = pc.match_substring_regex(texts, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
            columns.append(
                np.asarray(pc.cast(pc.if_else(number, texts, None), pa.float64()).fill_null(np.nan))
            )
        boxes = np.stack(columns, 1)
        given = ~np.isnan(boxes).all(1)
        clipped, inside = clip_boxes(boxes)
        if bad := int((given & (inside == 0)).sum()):
            self._note(f"{counted(bad, 'box', 'boxes')} outside the photo or of no size")
        flat = pa.array(clipped.astype(np.float32).ravel())
        return pa.FixedSizeListArray.from_arrays(flat, 4, mask=pa.array(inside == 0)).cast(
            row_schema().field("box").type
        )
