"""Instances of one frame and its time enter, tracks leave: this package's pieces in the order of their work."""

from __future__ import annotations

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
from tracker.associate.matching import Matcher, unclaimed
from tracker.associate.motion import EPSILON_S, Motion, check_warp, elapsed, xyxy
from tracker.associate.occlusion import hidden_share, visible_share
from tracker.types import Instances, Segmenter, Tracks

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

__all__ = ["Tracker"]

CERTAIN_HITS = 4
LEAST_EVIDENCE = -10.0
"""A bad start is forgotten after a few good frames."""
# Arrays are faster than numbers here, see matching.py.
LEAST, ONE, CODES, TENTATIVE, UNSEEN = (np.array(number) for number in (LEAST_EVIDENCE, 1, BINS, 0, -1))


class Tracker:
    """Gives every instance of a stream a persistent identity.

    One default configuration serves vehicles and people, 5 to 60 frames per second, any model: scores are calibrated
    while running, noise is in object sizes, times are seconds. Two trackers share nothing. Memory follows the objects
    in view, not the running time.

    Args:
        class_count: Number of classes the model knows; more are taken as they appear.
        high_chance: Instances with this calibrated chance or more are matched first.
        low_chance: Below this chance an instance never continues a confirmed track.
        high_gate, low_gate, tentative_gate: Least affinity of a match, for probable instances, doubtful ones, tentative
            tracks.
        buffer: Boxes are enlarged by this share of their size on every side for matching.
        uncertainty: Further enlargement in standard deviations of the predicted position.
        height_power: Exponent of the height ratio in the affinity.
        class_factor: Factor on the affinity of two different classes.
        chance_weight: Share of the affinity scaled by the instance's chance.
        mask_bonus: What a perfect overlap of silhouettes adds to the affinity, where instances have masks.
        confirm_log_odds: Evidence from which on a track is confirmed and gets its identity.
        certain_s: A track that was seen for this long without a gap is confirmed whatever calibration says.
        confirm_score: Raw score that the latest instance of a track must have for the track to be confirmed. The
            default trusts calibration alone, as is right for detections made elsewhere; models say theirs, see
            :meth:`for_model`.
        hit_log_odds: What every match adds to the evidence besides the instance's own log-odds.
        birth_share: Weight of the class's learned odds that a new track is real.
        evidence_limit: Bound of the evidence.
        lost_s: A confirmed track ends when it was not seen for this long.
        tentative_s: A tentative track is dropped when it was not seen for longer.
        coast_s: An unseen track is reported at its predicted place for this long,
        hidden_s: and for this long while a nearer track covers at least ``hidden_share`` of it,
        hidden_share: see ``hidden_s``;
        coast_log_odds: both only with this much evidence.
        duplicate_iou: An instance that overlaps a matched one by more starts no track.
        appearance_weight, gallery_s, gallery_size, false_return, return_wait_s: Where instances have embeddings; see
            :class:`tracker.associate.appearance.Appearance`.
        measurement, acceleration, size_acceleration, drift, initial_rate: See :class:`tracker.associate.motion.Motion`.
        horizon_s, prior_weight, memory, birth_prior, birth_weight: See
            :class:`tracker.associate.calibration.ScoreCalibration`.
    """

    def __init__(
        self,
        *,
        class_count: int | None = None,
        high_chance: float = 0.55,
        low_chance: float = 0.05,
        high_gate: float = 0.15,
        low_gate: float = 0.35,
        tentative_gate: float = 0.25,
        buffer: float = 0.15,
        uncertainty: float = 0.7,
        height_power: float = 1.0,
        class_factor: float = 0.5,
        chance_weight: float = 0.5,
        mask_bonus: float = 0.4,
        confirm_log_odds: float = 1.5,
        certain_s: float = 1.5,
        confirm_score: float = 0.0,
        hit_log_odds: float = 0.6,
        birth_share: float = 1.0,
        evidence_limit: float = 50.0,
        lost_s: float = 2.0,
        tentative_s: float = 0.0,
        coast_s: float = 0.1,
        hidden_s: float = 1.0,
        hidden_share: float = 0.5,
        coast_log_odds: float = 20.0,
        duplicate_iou: float = 0.7,
        appearance_weight: float = 0.3,
        gallery_s: float = 300.0,
        gallery_size: int = 256,
        false_return: float = 0.005,
        return_wait_s: float = 0.5,
        measurement: float = 0.05,
        acceleration: float = 0.5,
        size_acceleration: float = 0.1,
        drift: float = 0.1,
        initial_rate: float = 1.0,
        horizon_s: float = 0.3,
        prior_weight: float = 3.0,
        memory: float = 200.0,
        birth_prior: float = 0.4,
        birth_weight: float = 10.0,
    ) -> None:
        self._appearance = Appearance(
            weight=appearance_weight,
            gallery_s=gallery_s,
            gallery_size=gallery_size,
            false_return=false_return,
            wait_s=return_wait_s,
        )
        self._matcher = Matcher(
            high_chance=high_chance,
            low_chance=low_chance,
            high_gate=high_gate,
            low_gate=low_gate,
            tentative_gate=tentative_gate,
            buffer=buffer,
            uncertainty=uncertainty,
            height_power=height_power,
            class_factor=class_factor,
            chance_weight=chance_weight,
            mask_bonus=mask_bonus,
            appearance=self._appearance,
        )
        self._motion = Motion(
            measurement=measurement,
            acceleration=acceleration,
            size_acceleration=size_acceleration,
            drift=drift,
            initial_rate=initial_rate,
        )
        self._calibration = ScoreCalibration(
            horizon_s=horizon_s,
            prior_weight=prior_weight,
            memory=memory,
            birth_prior=birth_prior,
            birth_weight=birth_weight,
        )
        self._hit_log_odds, self._evidence_limit = np.array(hit_log_odds), np.array(evidence_limit)
        self._confirm_log_odds, self._birth_share, self._confirm_score = confirm_log_odds, birth_share, confirm_score
        self._certain_s = certain_s
        self._lost_s, self._tentative_s = lost_s, tentative_s
        self._coast_s, self._hidden_s, self._hidden_share = coast_s, hidden_s, hidden_share
        self._coast_log_odds = coast_log_odds
        self._duplicate_iou = duplicate_iou
        self._table = TrackTable(crop_cells=silhouettes.CELLS**2)
        self._completion = Completion(least_chance=low_chance)
        self._classes = ClassColumns()
        self._reserve(np.arange(class_count or 0))
        self._next_id = 1
        self._time_s: float | None = None

    @classmethod
    def for_model(cls, model: Segmenter, *, confirm_score: float | None = None, **settings: Any) -> Self:
        """A tracker for what a model segments: its classes, and the score from which its instances confirm a track.

        Args:
            model: The segmenter.
            confirm_score: In place of the model's ``confirmation_score``.
            settings: Other keywords of the constructor.
        """
        score = model.confirmation_score if confirm_score is None else confirm_score
        return cls(class_count=len(model.class_names), confirm_score=score, **settings)

    def update(self, instances: Instances, time_s: float, *, warp: Floats | None = None) -> Tracks:
        """Take the instances of the next frame.

        Args:
            instances: What the segmenter saw; rows with a box that is not finite or has no area are ignored.
            time_s: Media time of the frame in seconds, not before the last one's.
            warp: ``(2, 3)`` how the camera moved: image pixels of the last update to those of this one, as
                :class:`tracker.associate.camera.CameraMotion` finds it. Velocities are relative to the scene then.
                ``None`` = it stood, or nobody knows.

        Returns:
            The identities seen in this frame and those presumed present though unseen (``detection_rows`` -1), ordered
            by id. Lost tracks whose place is not known well enough are left out; they may come back until they appear
            in ``ended_ids``.

        Raises:
            TrackerError: Time is not a number or goes backwards, or the warp is none that a camera can make.
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
            self._motion.predict(table, min(dt_s, self._lost_s))
            table.detection_rows.fill(-1)
            table.frames[:] = table.frames + ONE
        rows, taken = self._matcher.match(table, detected, time_s, dt_s)
        if len(rows):
            self._take(rows, taken, detected, time_s)
        self._completion.complete(table, len(rows), time_s, dt_s)
        if len(taken) < len(detected):
            self._bear(taken, detected, time_s)
        self._confirm(time_s)
        self._completion.remember(table, time_s)
        ended = self._retire(time_s, dt_s)
        return self._report(numbers, time_s, ended)

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
        classes = self._classes.find(class_ids)
        if classes is None:
            classes = self._reserve(class_ids)
        boxes, scores = values[4:8], values[8]
        codes = classes * CODES + self._calibration.bins(scores)
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
            looks=self._appearance.prepare(instances.embeddings, numbers, self._table),
            visible=EMPTY if instances.embeddings is None else visible_share(boxes),
        )
        return detected, numbers

    def _reserve(self, class_ids: Rows) -> Rows:
        """Give every class id that is new a column in the vote and calibration tables; returns their columns."""
        columns, count = self._classes.add(class_ids), len(self._classes)
        self._calibration.reserve(count)
        self._table.reserve_classes(count)
        return columns

    def _take(self, rows: Rows, taken: Rows, detected: Detected, time_s: float) -> None:
        """The tracks ``rows`` continue with the instances ``taken``."""
        measured = detected.measured.take(taken, axis=1)
        self._completion.resume(self._table, rows, measured)
        self._motion.correct(self._table, rows, measured)
        self._note(rows, taken, detected, time_s)

    def _note(self, rows: Rows, taken: Rows, detected: Detected, time_s: float) -> None:
        """Write what the tracks ``rows`` took into the table."""
        table = self._table
        # Views where every track took an instance, as in most frames: a selection by numbers takes four times as long.
        chosen = slice(None) if len(rows) == table.count else rows
        classes, scores = detected.classes.take(taken), detected.scores.take(taken)
        table.boxes[:, chosen] = detected.boxes.take(taken, axis=1)
        table.detection_rows[chosen] = taken
        table.classes[chosen] = classes
        table.codes[chosen] = detected.codes.take(taken)
        table.seen_s[chosen] = time_s
        table.scores[chosen] = scores
        table.hits[chosen] = table.hits[chosen] + ONE
        if len(table.votes) == 1:
            votes = table.votes[0]
            votes[chosen] = votes[chosen] + scores
        else:
            table.votes[classes, rows] += scores
        table.draw(rows, None if detected.crops is None else detected.crops[taken])
        if detected.looks is not None:
            self._appearance.note(rows, taken, detected)
        evidence = table.evidence[chosen] + (detected.log_odds.take(taken) + self._hit_log_odds)
        table.evidence[chosen] = np.minimum(np.maximum(evidence, LEAST), self._evidence_limit)

    def _bear(self, taken: Rows, detected: Detected, time_s: float) -> None:
        """Start a tentative track from every free instance that is no duplicate of a matched or a better free one."""
        free = unclaimed(detected, taken, self._duplicate_iou)
        table = self._table
        rows, found, free = self._completion.rescue(table, detected, free)
        if len(rows):
            self._take(rows, found, detected, time_s)
        if not len(free):
            return
        new = table.append(len(free))
        table.first_s[new] = time_s
        self._appearance.append(new, time_s)
        self._motion.initiate(table, new, detected.measured.take(free, axis=1))
        self._note(np.arange(new.start, new.stop), free, detected, time_s)
        table.evidence[new] += self._birth_share * self._calibration.birth_log_odds(detected.classes[free])

    def _confirm(self, time_s: float) -> None:
        """Number the tentative tracks that have shown enough, in order of birth."""
        table = self._table
        if np.count_nonzero(table.ids) < table.count:
            lived = (table.seen_s - table.first_s >= self._certain_s - EPSILON_S) & (table.hits >= CERTAIN_HITS)
            convincing = ((table.evidence >= self._confirm_log_odds) | lived) & (table.scores >= self._confirm_score)
            ready = ((table.ids == 0) & (table.detection_rows >= 0) & convincing).nonzero()[0]
            ready = self._appearance.recognise(table, ready, time_s)
            table.ids[ready] = np.arange(self._next_id, self._next_id + len(ready))
            self._next_id += len(ready)
        self._appearance.observe(table, time_s)

    def _retire(self, time_s: float, dt_s: float) -> Rows:
        """Learn from what became of earlier instances, drop tracks unseen for too long; returns ended identities."""
        table = self._table
        codes, unseen = table.codes, (table.detection_rows < 0).nonzero()[0]
        dead: Flags | None = None
        if len(unseen):
            codes = codes.copy()
            codes[unseen] = -1
            limit = np.where(table.ids.take(unseen) > 0, self._lost_s, self._tentative_s) + EPSILON_S
            late = unseen[time_s - table.seen_s.take(unseen) > limit]
            if len(late):
                dead = np.bincount(late, minlength=table.count) > 0
        self._learn(unseen, dead, dt_s)
        table.remember(codes)
        ended = self._appearance.retire(table, dead, time_s)
        if dead is not None:
            table.keep(~dead)
        return np.sort(ended) if len(ended) else ended

    def _learn(self, unseen: Rows, dead: Flags | None, dt_s: float) -> None:
        """Tell the calibration which earlier instances were found again; those of dead tracks never will be."""
        table = self._table
        expected, found, born = table.outcomes(self._calibration.frames(dt_s), unseen, dead)
        self._calibration.learn(expected, found)
        if np.count_nonzero(born):
            self._calibration.learn_births(table.classes[born], table.detection_rows[born] >= 0)

    def _report(self, numbers: Rows, time_s: float, ended: Rows) -> Tracks:
        """What is seen, and what is presumed present though unseen."""
        table = self._table
        seen = (table.ids > TENTATIVE) & (table.detection_rows > UNSEEN)
        rows, coasting = seen.nonzero()[0], 0
        if len(rows) < table.count:
            presumed = self._coasting(seen, time_s)
            rows, coasting = np.concatenate([rows, presumed]), len(presumed)
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
        )

    def _coasting(self, seen: Flags, time_s: float) -> Rows:
        """Confirmed tracks that are presumed present though not ``seen (N,)``."""
        table = self._table
        trusted = ((table.ids > 0) & ~seen & (table.evidence >= self._coast_log_odds)).nonzero()[0]
        if not len(trusted):
            return trusted
        unseen_s = time_s - table.seen_s[trusted]
        shown = unseen_s <= self._coast_s + EPSILON_S
        waiting = (~shown & (unseen_s <= self._hidden_s + EPSILON_S)).nonzero()[0]
        if len(waiting):
            shares = hidden_share(xyxy(table.values.take(trusted[waiting], axis=1)), table.boxes[:, seen])
            shown[waiting[shares >= self._hidden_share]] = True
        return trusted[shown]
