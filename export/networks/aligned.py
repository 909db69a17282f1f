"""ShuffleNetV2 stages without shuffles, in whole blocks of channels, for export.

ONNX Runtime's fast convolutions keep channels in blocks of 16 (or 8). A stage of 58, 116 or 232 channels a half fits
no block, and its shuffles and splits bring maps back to plain layout in every unit. Here a unit's last convolution is
taken apart by when its channels are read next: each part is a map of its own in whole blocks, filled up with zeros, and
the unit that reads several parts concatenates them. Weights are the same numbers in other places, and so are the
results: 31.0 instead of 33.0 ms for the whole network at 384 x 640 on one thread of an AMD EPYC with AVX-512.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.yolact_nanodet import SLOPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.networks.yolact_nanodet import Backbone, Unit, YolactNanoDet

BLOCK = 16
SEPARATE = 3
"""Next readers whose channels are maps of their own; those of later ones are in one map together."""

Label = tuple[int, int]  # unit, channel of its halves: 0 .. half - 1 new by `main`, half .. by `short`
Layout = list[Label | None]  # what each channel of a map is; None = zeros


class Plan(NamedTuple):
    """Where the channels of a stage go.

    Attributes:
        parts: by unit its maps' layouts, the maps of `main` first.
        reads: by unit the maps (unit, part) that it reads; of the first unit none.
        end: the maps (unit, part) that leave the stage.
        states: by unit what it is given, in ShuffleNet's order; last what leaves.
    """

    parts: list[list[Layout]]
    reads: list[list[tuple[int, int]]]
    end: list[tuple[int, int]]
    states: list[list[Label]]

    def shorts(self, unit: int) -> list[bool]:
        """Which maps of a unit are its `short` way's."""
        half = len(self.states[-1]) // 2
        return [layout[0] is not None and layout[0][1] >= half for layout in self.parts[unit]]


def plan(half: int, units: int) -> Plan:
    """Follow every channel from the unit that makes it to the one that reads it."""
    states: list[list[Label]] = [[]]
    read_by: dict[Label, int] = {}
    for unit in range(units):
        made = [(unit, channel) for channel in range(half)]
        passed = [(0, half + channel) for channel in range(half)] if unit == 0 else states[-1][:half]
        read_by |= dict.fromkeys(states[-1][half:], unit)
        states.append([label for pair in zip(passed, made, strict=True) for label in pair])
    read_by |= dict.fromkeys(states[-1], units)
    parts = []
    for unit in range(units):
        groups = []
        for first in (0, half)[: 2 if unit == 0 else 1]:
            by_reader: dict[int, Layout] = {}
            for channel in range(first, first + half):
                reader = read_by[unit, channel]
                by_reader.setdefault(min(reader, unit + 1 + SEPARATE), []).append((unit, channel))
            groups += [whole(by_reader[reader]) for reader in sorted(by_reader)]
        parts.append(groups)
    reads = [
        [
            (unit, part)
            for unit, groups in enumerate(parts[:reader])
            for part, layout in enumerate(groups)
            if any(label and read_by[label] == reader for label in layout)
        ]
        for reader in range(units + 1)
    ]
    return Plan(parts, reads[:-1], reads[-1], states)


def whole(layout: Layout) -> Layout:
    """Filled up to whole blocks."""
    return layout + [None] * (-len(layout) % BLOCK)


class Rows(NamedTuple):
    """Places of an original layer's channels in an aligned one: `there[i]` of the latter is `here[i]` of the former."""

    here: list[int]
    there: list[int]
    size: int

    @classmethod
    def of(cls, labels: Sequence[Label], layout: Layout) -> Rows:
        """Those labels that the layout has."""
        place = {label: row for row, label in enumerate(labels)}
        there = [row for row, label in enumerate(layout) if label in place]
        return cls([place[layout[row]] for row in there], there, len(layout))

    @classmethod
    def first(cls, count: int, size: int | None = None) -> Rows:
        """As they are, then zeros."""
        return cls(list(range(count)), list(range(count)), size or count)


class AlignedConv(nn.Module):
    """A convolution whose channels have other places; it shares nothing with the original.

    Args:
        source: the original layer.
        out: places of its outputs.
        into: places of its inputs; None for a depthwise one.
        slope: of the LeakyReLU after it, None = none.
    """

    def __init__(self, source: nn.Conv2d, out: Rows, into: Rows | None, slope: float | None) -> None:
        super().__init__()
        groups = out.size if into is None else 1
        channels_in = out.size if into is None else into.size
        self.conv = nn.Conv2d(channels_in, out.size, source.kernel_size, source.stride, source.padding, groups=groups)
        self.out, self.into, self.slope = out, into, slope
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias.zero_()
        self.copy(source, self.conv, there=True)

    def restore(self, source: nn.Conv2d) -> None:
        """Write what this layer holds of the original one's weights into it."""
        self.copy(self.conv, source, there=False)

    def copy(self, source: nn.Conv2d, target: nn.Conv2d, *, there: bool) -> None:
        """Weights between the original layer and this one, `there`: from the original."""
        out = (self.out.here, self.out.there) if there else (self.out.there, self.out.here)
        with torch.no_grad():
            target.bias[out[1]] = source.bias[out[0]]
            if self.into is None:
                target.weight[out[1]] = source.weight[out[0]]
                return
            into = (self.into.here, self.into.there) if there else (self.into.there, self.into.here)
            rows = target.weight[out[1]]
            rows[:, into[1]] = source.weight[out[0]][:, into[0]]
            target.weight[out[1]] = rows

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride)."""
        y = self.conv(x)
        return y if self.slope is None else functional.leaky_relu(y, self.slope)


def joined(maps: list[Tensor]) -> Tensor:
    """One map of several."""
    return maps[0] if len(maps) == 1 else torch.cat(maps, dim=1)


class AlignedStage(nn.Module):
    """A stage of ShuffleNetV2.

    Args:
        units: of the original.
        before: the layout of the map that it is given, over `labels`.
        labels: of the channels that the first unit was trained with, in its order.
        slope: of LeakyReLU.
    """

    def __init__(self, units: Sequence[Unit], before: Layout, labels: Sequence[Label], slope: float) -> None:
        super().__init__()
        half = units[0].main[0].conv.out_channels
        self.plan = plan(half, len(units))
        inner = Rows.first(half, len(whole([(0, 0)] * half)))
        given = Rows.of(labels, before)
        self.short = AlignedConv(units[0].short[0].conv, given, None, None)
        self.enter, self.middle, self.leave = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for number, unit in enumerate(units):
            if number:
                read = [label for row, part in self.plan.reads[number] for label in self.plan.parts[row][part]]
                given = Rows.of(self.plan.states[number][half:], read)
            self.enter.append(AlignedConv(unit.main[0].conv, inner, given, slope))
            self.middle.append(AlignedConv(unit.main[1].conv, inner, None, None))
            self.leave.append(nn.ModuleList())
            for layout, short in zip(self.plan.parts[number], self.plan.shorts(number), strict=True):
                source = (unit.short if short else unit.main)[-1].conv
                own = [(number, half * short + channel) for channel in range(half)]
                into = Rows.of(labels, before) if short else inner
                self.leave[-1].append(AlignedConv(source, Rows.of(own, layout), into, slope))

    @property
    def labels(self) -> list[Label]:
        """Channels that leave, in ShuffleNet's order."""
        return self.plan.states[-1]

    @property
    def layout(self) -> Layout:
        """Of the map that leaves."""
        return [label for unit, part in self.plan.end for label in self.plan.parts[unit][part]]

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels of `before`, H, W) -> (B, channels of `layout`, H / 2, W / 2)."""
        made: list[list[Tensor]] = []
        for number, (enter, middle, leave) in enumerate(zip(self.enter, self.middle, self.leave, strict=True)):
            given = x if number == 0 else joined([made[unit][part] for unit, part in self.plan.reads[number]])
            main = middle(enter(given))
            short = self.short(x) if number == 0 else main
            ways = [short if beside else main for beside in self.plan.shorts(number)]
            made.append([conv(way) for conv, way in zip(leave, ways, strict=True)])
        return joined([made[unit][part] for unit, part in self.plan.end])

    def restore(self, units: Sequence[Unit]) -> None:
        """Write the weights into the original's units."""
        self.short.restore(units[0].short[0].conv)
        for number, unit in enumerate(units):
            self.enter[number].restore(unit.main[0].conv)
            self.middle[number].restore(unit.main[1].conv)
            for conv, short in zip(self.leave[number], self.plan.shorts(number), strict=True):
                conv.restore((unit.short if short else unit.main)[-1].conv)


class AlignedBackbone(nn.Module):
    """ShuffleNetV2; `labels` and `layouts` are of the maps that it gives."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        channels = backbone.stem.conv.out_channels
        self.labels: list[list[Label]] = [[(0, channel) for channel in range(channels)]]
        self.layouts = [whole(list(self.labels[0]))]
        rows = Rows.of(self.labels[0], self.layouts[0])
        self.stem = AlignedConv(backbone.stem.conv, rows, Rows.first(3), SLOPE)
        self.stages = nn.ModuleList()
        for units in backbone.stages:
            self.stages.append(AlignedStage(units, self.layouts[-1], self.labels[-1], SLOPE))
            self.labels.append(self.stages[-1].labels)
            self.layouts.append(self.stages[-1].layout)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> maps at the strides 4, 8, 16, 32."""
        maps = [functional.max_pool2d(self.stem(x), 3, 2, 1)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def reader(self, source: nn.Conv2d, level: int, slope: float | None) -> AlignedConv:
        """A layer that reads a map of the backbone."""
        into = Rows.of(self.labels[level], self.layouts[level])
        return AlignedConv(source, Rows.first(source.out_channels), into, slope)


def aligned(network: YolactNanoDet) -> YolactNanoDet:
    """A copy with the same results whose backbone has no shuffles and whole blocks of channels."""
    changed = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    backbone = AlignedBackbone(network.backbone)
    changed.backbone = backbone
    changed.neck.laterals = nn.ModuleList(
        backbone.reader(lateral.conv, level, SLOPE) for level, lateral in enumerate(network.neck.laterals, 1)
    )
    changed.mask_head.skip = backbone.reader(network.mask_head.skip, 0, None)
    return changed


def restored(network: YolactNanoDet, original: YolactNanoDet) -> YolactNanoDet:
    """What `aligned` was made of.

    Args:
        network: of `aligned`.
        original: of the same shapes, changed in place.
    """
    theirs = network.state_dict()
    original.load_state_dict(
        {
            key: theirs.get(key, value)
            for key, value in original.state_dict().items()
            if not key.startswith(("backbone.", "neck.laterals.", "mask_head.skip."))
        },
        strict=False,
    )
    network.backbone.stem.restore(original.backbone.stem.conv)
    for stage, units in zip(network.backbone.stages, original.backbone.stages, strict=True):
        stage.restore(units)
    for ours, lateral in zip(network.neck.laterals, original.neck.laterals, strict=True):
        ours.restore(lateral.conv)
    network.mask_head.skip.restore(original.mask_head.skip)
    return original
