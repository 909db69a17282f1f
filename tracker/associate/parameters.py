"""Parameters of the association, with units and defaults, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TrackerSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSettings:
    """Parameters of :class:`tracker.associate.tracker.Tracker`; one default serves vehicles and people at 5 to 60 fps.

    Attributes:
        gate: Least affinity of a confirmed track and an instance that is probably real.
        doubt: How much the gate rises with every unit by which the instance's calibrated chance lies below
        probable_chance: from which on an instance is probably real.
        return_chance: Instances below this chance continue only tracks that were seen in the last frames.
        low_chance: Instances below this chance never continue a confirmed track.
        tentative_gate: Least affinity of a tentative track and an instance.
        tentative_weight: What such a match is worth, as a share of a confirmed track's, if the track is surely real.
        buffer: Enlargement of boxes for matching, as a share of their size on every side (C-BIoU, Yang et al. 2023).
        uncertainty: Further enlargement, in standard deviations of the predicted position.
        height_power: Exponent of the height ratio in the affinity.
        class_factor: Factor on the affinity of a pair of different classes.
        chance_weight: Share of the affinity that is scaled by the instance's chance.
        mask_bonus: Affinity that a mask IoU of 1 adds, where instances have masks.
        confirm_log_odds: Evidence, in log-odds, from which on a track is confirmed and gets its identity.
        certain_s: A track seen for this long without a gap is confirmed whatever its evidence.
        hit_log_odds: Evidence of every match besides the instance's own log-odds.
        birth_share: Weight of the class's learned odds that a new track is real.
        evidence_limit: Upper bound of the evidence.
        lost_s: A confirmed track ends after this long without an instance.
        tentative_s: A tentative track is dropped after this long without an instance.
        coast_s: An unseen track is reported at its predicted place for this long,
        hidden_s: and for this long while seen tracks cover at least ``hidden_share`` of it;
        hidden_share: see ``hidden_s``.
        coast_log_odds: Evidence that both need.
        duplicate_iou: An instance that overlaps a matched one by more starts no track.
        appearance_weight: Affinity that certain appearance evidence adds, where instances have embeddings.
        gallery_s: An identity out of view may be re-identified for this long; 0 = never.
        gallery_size: Most identities in the gallery.
        false_return: Accepted false match rate of re-identification.
        return_wait_s: Longest delay of a confirmation for a better view.
        measurement: Standard deviation of a measured edge, in object sizes (``sqrt(width * height)``).
        acceleration: Random walk of a velocity in one second, in sizes per second.
        size_acceleration: The same for width and height.
        drift: Random walk of a position in one second, in sizes.
        initial_rate: Standard deviation of a new track's velocity, in sizes per second.
        horizon_s: A detection counts as real if its track is matched this much later.
        prior_weight: Observations that the raw score is worth as a prior, per score bin.
        memory: Observations per bin or class after which old ones fade.
        birth_prior: Prior share of new tracks that live for ``horizon_s``.
        birth_weight: Observations that this prior is worth.
    """

    gate: float = 0.15
    doubt: float = 0.4
    probable_chance: float = 0.55
    return_chance: float = 0.25
    low_chance: float = 0.05
    tentative_gate: float = 0.25
    tentative_weight: float = 0.4
    buffer: float = 0.15
    uncertainty: float = 0.7
    height_power: float = 1.0
    class_factor: float = 0.5
    chance_weight: float = 0.5
    mask_bonus: float = 0.4
    confirm_log_odds: float = 1.5
    certain_s: float = 1.5
    hit_log_odds: float = 0.6
    birth_share: float = 1.0
    evidence_limit: float = 50.0
    lost_s: float = 2.0
    tentative_s: float = 0.0
    coast_s: float = 0.1
    hidden_s: float = 1.0
    hidden_share: float = 0.5
    coast_log_odds: float = 20.0
    duplicate_iou: float = 0.5
    appearance_weight: float = 0.3
    gallery_s: float = 300.0
    gallery_size: int = 256
    false_return: float = 0.005
    return_wait_s: float = 0.5
    measurement: float = 0.05
    acceleration: float = 0.5
    size_acceleration: float = 0.1
    drift: float = 0.1
    initial_rate: float = 1.0
    horizon_s: float = 0.3
    prior_weight: float = 3.0
    memory: float = 200.0
    birth_prior: float = 0.4
    birth_weight: float = 10.0
