"""Instances of one frame and its time enter, tracks leave: the two-verb tracker that holds the pieces of this package together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.associate import affinity, kalman
from tracker.associate.assignment import assign
from tracker.associate.calibration import ScoreCalibration
from tracker.associate.lifecycle import TrackTable
from tracker.types import Instances, Tracks

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["Tracker"]


class Tracker:
    def __init__(
        self,
        *,
        class_count: int | None = None,
        high_chance: float = 0.6,
        low_chance: float = 0.1,
        birth_chance: float = 0.5,
        confirm_evidence: float = 1.5,
        lost_s: float = 2.0,
        tentative_s: float = 0.0,
        buffer: float = 0.15,
        high_gate: float = 0.15,
        low_gate: float = 0.25,
        tent_gate: float = 0.25,
        class_factor: float = 0.5,
        fuse: float = 0.5,
        height_power: float = 1.0,
        meas: float = 0.05,
        accel: float = 0.5,
        drift: float = 0.2,
        rate0: float = 1.0,
        size_accel: float = 0.1,
        dup_iou: float = 0.7,
        prior_weight: float = 10.0,
        memory: float = 2000.0,
        miss_decay: float = 1.0,
        horizon_s: float = 10.0,
        mask_bonus: float = 0.0,
        crop: int = 0,
        lost_pen: float = 0.0,
        x: dict | None = None,
    ) -> None:
        self.__dict__.update({k: v for k, v in locals().items() if k != "self"})
        self._table = TrackTable(crop_cells=0)
        self._cal = ScoreCalibration(prior_weight=prior_weight, memory=memory)
        self._class_values = np.arange(class_count or 0)
        self._cal.reserve(class_count or 0)
        self._table.reserve_classes(class_count or 0)
        self._next_id = 1
        self._time_s = None

    def update(self, instances: Instances, time_s: float) -> Tracks:
        T = self._table
        dt = 0.0 if self._time_s is None else time_s - self._time_s
        if dt < 0:
            raise ValueError("time")
        self._time_s = time_s
        boxes = np.ascontiguousarray(instances.boxes.T, np.float64)
        scores = instances.scores.astype(np.float64)
        m = len(scores)
        classes = self._columns(instances.class_ids)
        bins = self._cal.bins(scores)
        chances = self._cal.chances(classes, bins)
        prev_seen = T.detection_rows >= 0
        if T.count:
            size = np.sqrt(T.values[2] * T.values[3])
            size2 = size * size
            # horizon
            acc = np.empty((4, T.count)); acc[:2] = self.accel**2 * size2; acc[2:] = self.size_accel**2 * size2
            dr = np.empty((4, T.count)); dr[:] = self.drift**2 * size2
            v, c = kalman.predict(T.values, T.rates, T.covariances, dt, acc, dr)
            v[2:] = np.maximum(v[2:], 1.0)
            T.values[:] = v
            T.covariances[:] = c
            T.detection_rows[:] = -1
        pred = np.concatenate([T.values[:2] - T.values[2:] / 2, T.values[:2] + T.values[2:] / 2])
        row_of_det = np.full(m, -1)
        if T.count and m:
            a = affinity.enlarge(pred, self.buffer); b = affinity.enlarge(boxes, self.buffer)
            r, c = affinity.overlapping_pairs(a, b)
            sim = affinity.buffered_iou(a[:, r], b[:, c])
            hr = affinity.ratio(T.values[3][r], (boxes[3] - boxes[1])[c])
            sim = sim * hr**self.height_power
            sim = np.where(T.votes.argmax(0)[r] == classes[c], sim, sim * self.class_factor)
            if self.lost_pen:
                sim = sim * (1 - self.lost_pen * np.minimum((time_s - T.seen_s)[r], 1))
            fused = sim * (1 - self.fuse + self.fuse * chances[c])
            confirmed = T.ids > 0
            high = chances >= self.high_chance
            free_t = np.ones(T.count, bool); free_d = np.ones(m, bool)
            for tmask, dmask, gate, s in (
                (confirmed, high, self.high_gate, fused),
                (confirmed & (time_s - T.seen_s <= 3.5 * dt), ~high & (chances >= self.low_chance), self.low_gate, sim),
                (~confirmed, np.ones(m, bool), self.tent_gate, fused),
            ):
                ok = (tmask & free_t)[r] & (dmask & free_d)[c]
                k = np.flatnonzero(ok)
                if len(k):
                    mr, mc = assign(r[k], c[k], s[k] - gate, (T.count, m))
                    row_of_det[mc] = mr
                    free_t[mr] = False; free_d[mc] = False
        det = np.flatnonzero(row_of_det >= 0)
        row = row_of_det[det]
        if len(det):
            self._take(row, det, boxes, scores, classes, bins, chances, time_s)
        # calibration
        if T.count:
            k = np.flatnonzero(prev_seen)
            oldc, oldb = self._old_c, self._old_b
            self._cal.learn(oldc[k], oldb[k], T.detection_rows[k] >= 0)
        # births
        un = np.flatnonzero(row_of_det < 0)
        if len(un) and len(det):
            a = boxes[:, un]; b = boxes[:, det]
            r, c = affinity.overlapping_pairs(a, b)
            if len(r):
                d = affinity.buffered_iou(a[:, r], b[:, c]) > self.dup_iou
                bad = np.zeros(len(un), bool); bad[r[d]] = True
                un = un[~bad]
        if len(un):
            new = T.append(len(un))
            rows = np.arange(new.start, new.stop)
            T.first_s[new] = time_s
            w = boxes[2:, un] - boxes[:2, un]
            T.values[:2, new] = (boxes[:2, un] + boxes[2:, un]) / 2
            T.values[2:, new] = w
            s2 = np.maximum(w[0] * w[1], 1)
            val = np.tile(s2 * self.meas**2, (4, 1))
            rate = np.concatenate([np.tile(s2 * self.rate0**2, (2, 1)), np.tile(s2 * (self.rate0 / 5) ** 2, (2, 1))])
            T.covariances[:, :, new] = kalman.initiate(val, rate)
            self._note(rows, un, boxes, scores, classes, bins, chances, time_s)
        # confirm
        good = (T.ids == 0) & (T.evidence >= self.confirm_evidence)
        k = np.flatnonzero(good)
        if len(k):
            T.ids[k] = np.arange(self._next_id, self._next_id + len(k))
            self._next_id += len(k)
        missed = T.detection_rows < 0
        unseen = time_s - T.seen_s
        dead = missed & np.where(T.ids > 0, unseen > self.lost_s, unseen > self.tentative_s)
        weak = (T.ids == 0) & (~missed) & False
        ended = T.ids[dead & (T.ids > 0)]
        if dead.any():
            T.keep(~dead)
        self._old_c, self._old_b = T.classes.copy(), T.bins.copy()
        return self._output(boxes, time_s, ended)

    def _take(self, row, det, boxes, scores, classes, bins, chances, time_s):
        T = self._table
        z = boxes[:, det]
        wh = z[2:] - z[:2]
        meas = np.concatenate([(z[:2] + z[2:]) / 2, wh])
        s2 = np.maximum(wh[0] * wh[1], 1)
        v, rt, c = kalman.correct(T.values[:, row], T.rates[:, row], T.covariances[:, :, row], meas, np.tile(s2 * self.meas**2, (4, 1)))
        v[2:] = np.maximum(v[2:], 1.0)
        T.values[:, row] = v; T.rates[:, row] = rt; T.covariances[:, :, row] = c
        self._note(row, det, boxes, scores, classes, bins, chances, time_s)

    def _note(self, row, det, boxes, scores, classes, bins, chances, time_s):
        T = self._table
        T.boxes[:, row] = boxes[:, det]
        T.seen_s[row] = time_s
        T.evidence[row] += chances[det]
        T.scores[row] = scores[det]
        T.chances[row] = chances[det]
        T.detection_rows[row] = det
        T.classes[row] = classes[det]
        T.bins[row] = bins[det]
        T.hits[row] += 1
        T.votes[classes[det], row] += scores[det]

    def _columns(self, class_ids):
        known = self._class_values
        new = np.setdiff1d(class_ids, known)
        if len(new):
            self._class_values = np.concatenate([known, new])
            self._cal.reserve(len(self._class_values)); self._table.reserve_classes(len(self._class_values))
        if not len(class_ids):
            return np.zeros(0, np.int64)
        order = np.argsort(self._class_values)
        return order[np.searchsorted(self._class_values[order], class_ids)]

    def _output(self, boxes, time_s, ended):
        T = self._table
        k = np.flatnonzero(T.ids > 0)
        k = k[np.argsort(T.ids[k])]
        seen = T.detection_rows[k] >= 0
        v = T.values[:, k]
        out = np.where(seen, T.boxes[:, k], np.concatenate([v[:2] - v[2:] / 2, v[:2] + v[2:] / 2]))
        votes = T.votes[:, k]
        return Tracks(
            ids=T.ids[k].copy(), detection_rows=T.detection_rows[k].copy(), boxes=out.T.astype(np.float32),
            velocities=T.rates[:2, k].T.astype(np.float32),
            class_ids=self._class_values[votes.argmax(0)] if len(k) else np.zeros(0, np.int64),
            scores=T.scores[k].astype(np.float32), ages_s=(time_s - T.first_s[k]).astype(np.float32), ended_ids=np.sort(ended),
        )
