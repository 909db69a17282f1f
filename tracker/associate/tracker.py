"""Multi-object tracker of one stream: one update per frame, from instances to tracks."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tracker.associate import silhouettes
from tracker.associate.appearance import Appearance
from tracker.associate.calibration import BINS, ScoreCalibration
from tracker.associate.classes import ClassColumns
from tracker.associate.completion import Completion
from tracker.associate.detected import EMPTY, NONE, Detected, measured
from tracker.associate.lifecycle import TrackTable
from tracker.associate.matching import Matcher, unmatched
from tracker.associate.motion import EPSILON_S, Motion, check_warp, elapsed, xyxy
from tracker.associate.occlusion import hidden_share, visible_share
from tracker.associate.parameters import TrackerSettings
from tracker.types import Instances, Segmenter, Tracks

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

__all__ = ["Tracker"]

DEFAULT = TrackerSettings()

NO_ROWS: Rows = np.zeros(0, np.int64)
NONE_BEFORE: Rows = np.zeros((0, 3), np.int64)
CERTAIN_HITS = 4
LEAST_EVIDENCE = -10.0
"""Bound of the evidence from below: a few good frames outweigh a bad start."""


class Tracker:
    """Gives every instance of a stream a persistent identity.

    One default configuration serves vehicles and people, 5 to 60 frames per second, any model: scores are calibrated
    while running, noise is in object sizes, times are seconds. Two trackers share nothing. Memory follows the objects
    in view, not the running time.

    Args:
        class_count: Number of classes the model knows; more are taken as they appear.
        confirmation_score: Raw score that the latest instance of a track must have for the track to be confirmed. A
            property of the model, see :meth:`for_model`; 0 trusts calibration alone, as detections made elsewhere need.
        settings: Everything else.
    """

    def __init__(
        self,
        *,
        class_count: int | None = None,
        confirmation_score: float = 0.0,
        settings: TrackerSettings = DEFAULT,
    ) -> None:
        self.settings = settings
        self._appearance = Appearance(
            weight=settings.appearance_weight,
            gallery_s=settings.gallery_s,
            gallery_size=settings.gallery_size,
            false_return=settings.false_return,
            wait_s=settings.return_wait_s,
        )
        self._matcher = Matcher(settings, appearance=self._appearance)
        self._motion = Motion(
            measurement=settings.measurement,
            acceleration=settings.acceleration,
            size_acceleration=settings.size_acceleration,
            drift=settings.drift,
            initial_rate=settings.initial_rate,
        )
        self._calibration = ScoreCalibration(
            horizon_s=settings.horizon_s,
            prior_weight=settings.prior_weight,
            memory=settings.memory,
            birth_prior=settings.birth_prior,
            birth_weight=settings.birth_weight,
        )
        self._confirmation_score = confirmation_score
        self._table = TrackTable(crop_cells=silhouettes.CELLS**2)
        self._completion = Completion(least_chance=settings.low_chance)
        self._classes = ClassColumns()
        self._reserve(np.arange(class_count or 0))
        self._next_id = 1
        self._time_s: float | None = None
        self._sees_pixels = False

    @classmethod
    def for_model(
        cls, model: Segmenter, *, confirmation_score: float | None = None, settings: TrackerSettings = DEFAULT
    ) -> Self:
        """A tracker with the classes and the confirmation score of a model.

        Args:
            model: The segmenter.
            confirmation_score: In place of the model's.
            settings: As for the constructor.
        """
        score = model.confirmation_score if confirmation_score is None else confirmation_score
        return cls(class_count=len(model.class_names), confirmation_score=score, settings=settings)

    def update(self, instances: Instances, time_s: float, *, warp: Floats | None = None) -> Tracks:
        """Match the instances of the next frame to the tracks.

        Args:
            instances: The segmenter's detections; rows with a box that is not finite or has no area are ignored.
            time_s: Media time of the frame in seconds, not before the last one's.
            warp: ``(2, 3)`` camera motion: image pixels of the last update to those of this one, as
                :class:`tracker.associate.camera.CameraMotion` estimates it. Velocities are then relative to the scene.
                ``None`` = the camera stood still, or its motion is not known.

        Returns:
            The identities matched in this frame and those that coast (``detection_rows`` -1), ordered by id. Lost
            tracks whose predicted position is too uncertain are left out; they may be matched again until they appear
            in ``ended_ids``.

        Raises:
            TrackerError: Time is not a number or goes backwards, or the warp is not finite or mirrors the image.
        """
        if warp is not None:
            check_warp(warp)
        dt_s, self._time_s = elapsed(self._time_s, time_s), float(time_s)
        table = self._table
        detected, numbers = self._prepare(instances)
        if warp is not None:
            self._completion.warp(warp)
        if table.count:
            if warp is not None:
                self._motion.warp(table, warp)
            self._motion.predict(table, min(dt_s, self.settings.lost_s))
            table.detection_rows.fill(-1)
            table.frames += 1
        rows, taken = self._matcher.match(table, detected, time_s, dt_s)
        if len(rows):
            self._continue_tracks(rows, taken, detected, time_s)
        self._completion.complete(table, len(rows), time_s, dt_s)
        if len(taken) < len(detected):
            self._start_tracks(taken, detected, time_s)
        earlier = self._confirm(time_s)
        self._completion.record(table, time_s)
        ended = self._retire(numbers, time_s, dt_s)
        return self._report(numbers, time_s, ended, earlier)

    def predicted(self, time_s: float, *, warp: Floats | None = None) -> Tracks:
        """The identities at a time without a look at instances: all coast, and nothing is taken for missed.

        Args:
            time_s: Media time in seconds, not before the last update's.
            warp: ``(2, 3)`` camera motion since the last update, as for :meth:`update`.

        Raises:
            TrackerError: As :meth:`update` does.
        """
        if warp is not None:
            check_warp(warp)
        dt_s, kept = elapsed(self._time_s, time_s), self._table
        self._table = table = kept.copy()
        try:
            if table.count:
                if warp is not None:
                    self._motion.warp(table, warp)
                self._motion.predict(table, min(dt_s, self.settings.lost_s))
            seen = (table.ids > 0) & (table.detection_rows >= 0)
            rows = np.concatenate([seen.nonzero()[0], self._coasting(seen, time_s)])
            table.detection_rows.fill(-1)
            return self._report(NO_ROWS, time_s, NO_ROWS, NONE_BEFORE, shown=rows)
        finally:
            self._table = kept

    @property
    def living(self) -> int:
        """Tracks that have not ended, tentative and lost ones included."""
        return int(self._table.count)

    def state(self) -> dict[str, Any]:
        """Everything needed to continue later, as plain arrays and numbers."""
        return {
            "tracks": self._table.state(),
            "calibration": self._calibration.state(),
            "appearance": self._appearance.state(),
            "completion": self._completion.state(),
            "class_ids": self._classes.ids.copy(),
            "next_id": self._next_id,
            "time_s": self._time_s,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned; settings are those of this tracker."""
        self._classes = ClassColumns()
        self._reserve(state["class_ids"])
        self._calibration.restore(state["calibration"])
        self._table.restore(state["tracks"])
        self._appearance.restore(state.get("appearance"), self._table)
        self._completion.restore(state.get("completion"))
        self._next_id = int(state["next_id"])
        self._time_s = state["time_s"]

    def _prepare(self, instances: Instances) -> tuple[Detected, Rows]:
        """The usable instances with their calibrated chances, and which rows they are."""
        if not len(instances) and instances.embeddings is None:
            return NONE, np.zeros(0, np.int64)
        values, class_ids, numbers = measured(instances)
        if not self._sees_pixels and values.shape[1]:
            self._look_at_units(values[4:8])
        classes = self._classes.find(class_ids)
        if classes is None:
            classes = self._reserve(class_ids)
        boxes, scores = values[4:8], values[8]
        codes = classes * BINS + self._calibration.bins(scores)
        chances, log_odds = self._calibration.learned(codes)
        detected = Detected(
            boxes=boxes,
            measured=values[:4],
            scores=scores,
            chances=chances,
            log_odds=log_odds,
            classes=classes,
            codes=codes,
            crops=None if instances.masks is None else silhouettes.crop(instances.masks, boxes, numbers),
            embeddings=self._appearance.prepare(instances.embeddings, numbers, self._table),
            visible=EMPTY if instances.embeddings is None else visible_share(boxes),
        )
        return detected, numbers

    def _look_at_units(self, boxes: Floats) -> None:
        """Warn once of boxes (4, N) that can hardly be pixels: motion and gates would be wrong without a sign of it."""
        if boxes.max() <= 1.0:
            text = (
                "Tracker.update: expected boxes in image pixels, found all of them within 0..1. If they are fractions "
                "of the picture, multiply x by its width and y by its height."
            )
            warnings.warn(text, stacklevel=4)
        self._sees_pixels = True  # said, or settled

    def _reserve(self, class_ids: Rows) -> Rows:
        """Add a column to the vote and calibration tables for every new class id; returns all columns ``(M,)``."""
        columns, count = self._classes.add(class_ids), len(self._classes)
        self._calibration.reserve(count)
        self._table.reserve_classes(count)
        return columns

    def _continue_tracks(self, rows: Rows, taken: Rows, detected: Detected, time_s: float) -> None:
        """Correct the tracks ``rows (P,)`` by the instances ``taken (P,)``."""
        measured = detected.measured.take(taken, axis=1)
        self._completion.resume(self._table, rows, measured)
        self._motion.correct(self._table, rows, measured)
        self._record_matches(rows, taken, detected, time_s)

    def _record_matches(self, rows: Rows, taken: Rows, detected: Detected, time_s: float) -> None:
        """Write the matched instances ``taken (P,)`` into the rows ``rows (P,)`` of the table."""
        table = self._table
        # Views where every track is matched, as in most frames: a selection by row numbers takes four times as long.
        chosen = slice(None) if len(rows) == table.count else rows
        classes, scores = detected.classes.take(taken), detected.scores.take(taken)
        table.boxes[:, chosen] = detected.boxes.take(taken, axis=1)
        table.detection_rows[chosen] = taken
        table.classes[chosen] = classes
        table.codes[chosen] = detected.codes.take(taken)
        table.seen_s[chosen] = time_s
        table.scores[chosen] = scores
        table.hits[chosen] += 1
        if len(table.votes) == 1:
            votes = table.votes[0]
            votes[chosen] = votes[chosen] + scores
        else:
            table.votes[classes, rows] += scores
        table.set_crops(rows, None if detected.crops is None else detected.crops[taken])
        if detected.embeddings is not None:
            self._appearance.update(rows, taken, detected)
        evidence = table.evidence[chosen] + (detected.log_odds.take(taken) + self.settings.hit_log_odds)
        table.evidence[chosen] = np.minimum(np.maximum(evidence, LEAST_EVIDENCE), self.settings.evidence_limit)

    def _start_tracks(self, taken: Rows, detected: Detected, time_s: float) -> None:
        """Start a tentative track from every unmatched instance that duplicates no other one."""
        free = unmatched(detected, taken, self.settings.duplicate_iou)
        table = self._table
        rows, found, free = self._completion.match_parts(table, detected, free)
        if len(rows):
            self._continue_tracks(rows, found, detected, time_s)
        if not len(free):
            return
        new = table.append(len(free))
        table.first_s[new] = time_s
        self._appearance.append(new, time_s)
        self._motion.initiate(table, new, detected.measured.take(free, axis=1))
        self._record_matches(np.arange(new.start, new.stop), free, detected, time_s)
        table.evidence[new] += self.settings.birth_share * self._calibration.birth_log_odds(detected.classes[free])

    def _confirm(self, time_s: float) -> Rows:
        """Confirm the tentative tracks with enough evidence, in order of birth; returns what they matched before."""
        table, ready = self._table, NO_ROWS
        if np.count_nonzero(table.ids) < table.count:
            lasting = (table.seen_s - table.first_s >= self.settings.certain_s - EPSILON_S) & (
                table.hits >= CERTAIN_HITS
            )
            convincing = ((table.evidence >= self.settings.confirm_log_odds) | lasting) & (
                table.scores >= self._confirmation_score
            )
            ready = ((table.ids == 0) & (table.detection_rows >= 0) & convincing).nonzero()[0]
            ready = self._appearance.reidentify(table, ready, time_s)
            table.ids[ready] = np.arange(self._next_id, self._next_id + len(ready))
            self._next_id += len(ready)
        self._appearance.learn_similarities(table, time_s)
        return table.taken_before(ready) if len(ready) else NONE_BEFORE

    def _retire(self, numbers: Rows, time_s: float, dt_s: float) -> Rows:
        """Update the calibration, drop tracks unseen for too long; returns the ended identities, ascending."""
        table = self._table
        codes, unseen = table.codes, (table.detection_rows < 0).nonzero()[0]
        dead: Flags | None = None
        if len(unseen):
            codes = codes.copy()
            codes[unseen] = -1
            limit = np.where(table.ids.take(unseen) > 0, self.settings.lost_s, self.settings.tentative_s) + EPSILON_S
            late = unseen[time_s - table.seen_s.take(unseen) > limit]
            if len(late):
                dead = np.bincount(late, minlength=table.count) > 0
        self._learn(unseen, dead, dt_s)
        table.push_history(codes, numbers)
        ended = self._appearance.retire(table, dead, time_s)
        if dead is not None:
            table.keep(~dead)
        return np.sort(ended) if len(ended) else ended

    def _learn(self, unseen: Rows, dead: Flags | None, dt_s: float) -> None:
        """Count which earlier instances were found again; those of dead tracks never will be."""
        table = self._table
        expected, found, born = table.outcomes(self._calibration.frames(dt_s), unseen, dead)
        self._calibration.learn(expected, found)
        if np.count_nonzero(born):
            self._calibration.learn_births(table.classes[born], table.detection_rows[born] >= 0)

    def _report(self, numbers: Rows, time_s: float, ended: Rows, earlier: Rows, shown: Rows | None = None) -> Tracks:
        """The identities that are matched in this frame and those that coast, or else those ``shown``."""
        table = self._table
        seen = (table.ids > 0) & (table.detection_rows >= 0)
        rows, coasting = seen.nonzero()[0], 0
        if shown is not None:
            rows, coasting = shown, len(shown)
        elif len(rows) < table.count:
            coasting_rows = self._coasting(seen, time_s)
            rows, coasting = np.concatenate([rows, coasting_rows]), len(coasting_rows)
        ids = table.ids.take(rows)
        if len(rows) > 1:
            order = ids.argsort()
            rows, ids = rows.take(order), ids.take(order)
        detection_rows = table.detection_rows.take(rows)
        boxes = table.boxes.take(rows, axis=1)
        if coasting:
            unseen, found = (detection_rows < 0).nonzero()[0], (detection_rows >= 0).nonzero()[0]
            boxes[:, unseen] = xyxy(table.values.take(rows[unseen], axis=1))
            detection_rows[found] = numbers[detection_rows[found]]
        else:
            detection_rows = numbers.take(detection_rows)
        ids_of, one = self._classes.ids, len(table.votes) < 2
        class_ids = ids_of.repeat(len(rows)) if one else ids_of.take(table.votes.take(rows, axis=1).argmax(axis=0))
        return Tracks(
            ids=ids,
            detection_rows=detection_rows,
            boxes=boxes.T.astype(np.float32),
            velocities=table.rates[:2].take(rows, axis=1).T.astype(np.float32),
            class_ids=class_ids,
            scores=table.scores.take(rows).astype(np.float32),
            ages_s=(time_s - table.first_s.take(rows)).astype(np.float32),
            ended_ids=ended,
            earlier_rows=earlier,
        )

    def _coasting(self, seen: Flags, time_s: float) -> Rows:
        """Confirmed tracks, not ``seen (N,)``, that are still reported at their predicted position."""
        table = self._table
        trusted = ((table.ids > 0) & ~seen & (table.evidence >= self.settings.coast_log_odds)).nonzero()[0]
        if not len(trusted):
            return trusted
        unseen_s = time_s - table.seen_s[trusted]
        shown = unseen_s <= self.settings.coast_s + EPSILON_S
        waiting = (~shown & (unseen_s <= self.settings.hidden_s + EPSILON_S)).nonzero()[0]
        if len(waiting):
            shares = hidden_share(xyxy(table.values.take(trusted[waiting], axis=1)), table.boxes[:, seen])
            shown[waiting[shares >= self.settings.hidden_share]] = True
        return trusted[shown]
