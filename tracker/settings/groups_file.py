"""The file of groups, ``groups.yaml``, read with lines in errors.

::

    version: 1
    groups:
      - name: store
        timezone: Europe/Berlin
        reset_at: 04:00
        cameras: [door-north, door-south, checkout]
        classes: [person]
        doors:
          - {camera: door-north, line: entrance}
          - {camera: door-south, line: gate, entry: out, exit: in}
        opening:
          - {days: mon-fri, opens: 09:00, closes: 20:00}
          - {days: sat, opens: 10:00, closes: 18:00}
        closed: [2026-12-25, 2026-12-26]
"""

from __future__ import annotations

import os
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from tracker.errors import ConfigError
from tracker.groups import GroupDoor, Opening, SiteGroup, days_of, minutes_of
from tracker.settings.groups import DoorOfGroupSettings, GroupSettings, GroupsSettings, OpeningSettings
from tracker.settings.model import Settings, names_of
from tracker.settings.yaml_nodes import NodeReader, compose, is_kind, read_text, shown_node

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["parse_groups", "read_groups"]

_Value = TypeVar("_Value")


def read_groups(path: str | os.PathLike[str]) -> tuple[SiteGroup, ...]:
    """Read and check a file.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong; the offender is ``path:line``.
    """
    return parse_groups(read_text(path, "groups of cameras"), name=os.fspath(path))


def parse_groups(text: str, *, name: str = "groups.yaml") -> tuple[SiteGroup, ...]:
    """Check groups that were read elsewhere; errors as for :func:`read_groups`.

    Args:
        text: YAML.
        name: Stands for the file in errors.
    """
    return _Reader(name).groups(compose(text, name, "groups of cameras", extra="site"))


class _Reader(NodeReader):
    """Nodes of one file to groups."""

    def groups(self, root: Any) -> tuple[SiteGroup, ...]:
        if root is None:
            raise ConfigError(self.name, "expected groups, found an empty file", "see docs/guide/site-groups.md")
        nodes = self.nodes(root, names_of(GroupsSettings), "the file")
        listed = self._list(nodes.pop("groups", None) or root, "groups")
        self.made(GroupsSettings, root, nodes)
        found: dict[str, SiteGroup] = {}
        for node in listed:
            group = self._group(node)
            if group.name in found:
                raise self.wrong(node, f"expected each group once, found {group.name!r} twice", "rename one of them")
            found[group.name] = group
        return tuple(found.values())

    def _group(self, node: Any) -> SiteGroup:
        nodes = self.nodes(node, names_of(GroupSettings), "a group")
        doors = [self._door(one) for one in self._list(nodes.pop("doors", None), "doors")]
        opening = [self._opening(one) for one in self._list(nodes.pop("opening", None), "opening")]
        made = self.made(GroupSettings, node, nodes)
        closed = self._told(nodes.get("closed", node), lambda: tuple(map(_day, made.closed)))
        return self._told(
            node,
            lambda: SiteGroup(
                name=made.name,
                cameras=made.cameras,
                doors=tuple(doors),
                classes=made.classes,
                timezone=made.timezone,
                reset_at=made.reset_at or "",
                opening=tuple(opening),
                closed=closed,
            ),
        )

    def _door(self, node: Any) -> GroupDoor:
        made = self._of(DoorOfGroupSettings, node, "a door")
        return self._told(node, lambda: GroupDoor(**made))

    def _opening(self, node: Any) -> Opening:
        made = self._of(OpeningSettings, node, "opening hours")
        return self._told(
            node,
            lambda: Opening(
                days=days_of(made["days"], "days"),
                from_min=minutes_of(made["opens"], "opens"),
                to_min=minutes_of(made["closes"], "closes"),
            ),
        )

    def _of(self, settings: type[Settings], node: Any, what: str) -> Mapping[str, Any]:
        made = self.made(settings, node, self.nodes(node, names_of(settings), what))
        return {name: getattr(made, name) for name in settings.model_fields}

    def _told(self, node: Any, make: Callable[[], _Value]) -> _Value:
        """A value, whose refusal names the line."""
        try:
            return make()
        except ConfigError as error:
            failure = error
        raise self.wrong(node, f"{failure.offender}: {failure.problem}", failure.remedy)

    def _list(self, node: Any, key: str) -> list[Any]:
        if node is None:
            return []
        if not is_kind(node, "sequence"):
            raise self.wrong(node, f"expected a list of {key}, found {shown_node(node)}", "begin each one with `-`")
        return list(node.value)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError("closed", f"expected a day such as 2026-12-25, found {text!r}", "change it") from None
