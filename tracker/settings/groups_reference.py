"""The keys of a file of groups as a page of Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.settings.groups import DoorOfGroupSettings, GroupSettings, GroupsSettings, OpeningSettings
from tracker.settings.reference import key_table

if TYPE_CHECKING:
    from tracker.settings.model import Settings

__all__ = ["groups_page"]

_PAGE = """\
# Groups of cameras

Written by `masktrail settings groups`; change the descriptions in `tracker/settings/groups.py`, then run
`masktrail settings groups --out docs/reference/groups.md`. Guide: [site groups](../guide/site-groups.md).

A file of groups, `groups.yaml` or `sites/groups.yaml`, says which cameras see one place, by which lines it is entered,
and when it is open. Unknown keys, values out of range, doors of cameras that are not in the group and hours that end
before they begin are refused with their line.

## The file

{top}

## Each of `groups`

{parts}
"""


def groups_page() -> str:
    """The reference of all keys of a file of groups."""
    inner: dict[str, type[Settings]] = {"doors": DoorOfGroupSettings, "opening": OpeningSettings}
    top = {name: field for name, field in GroupsSettings.model_fields.items() if name != "groups"}
    own = {name: field for name, field in GroupSettings.model_fields.items() if name not in inner}
    parts = [f"{GroupSettings.__doc__}\n\n{key_table(own)}"]
    parts += [
        f"### Each of `{key}`\n\n{settings.__doc__}\n\n{key_table(settings.model_fields)}"
        for key, settings in inner.items()
    ]
    return _PAGE.format(top=key_table(top), parts="\n\n".join(parts))
