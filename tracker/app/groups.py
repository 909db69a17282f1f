"""Options that name a group of cameras, and the lines of text about one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from tracker.groups import SiteGroup

__all__ = ["GroupName", "GroupsFile", "chosen_group", "with_doors"]

PLACES = (Path("groups.yaml"), Path("sites") / "groups.yaml")

GroupName = Annotated[str, typer.Option("--group", metavar="NAME", help="A group of cameras in the file of groups.")]
GroupsFile = Annotated[
    Path | None,
    typer.Option("--groups", metavar="FILE", help="The file of groups; by default groups.yaml or sites/groups.yaml."),
]


def chosen_group(name: str, path: Path | None) -> SiteGroup:
    """The group that the options name.

    Raises:
        ConfigError: There is no file, or something in it is wrong, or no such group.
    """
    from tracker.groups import group_named
    from tracker.settings.groups_file import read_groups

    found = path or next((place for place in PLACES if place.is_file()), None)
    if found is None:
        problem = f"expected a file of groups, found neither {PLACES[0]} nor {PLACES[1]}"
        raise ConfigError(f"--group {name}", problem, "write one, or name it with --groups")
    return group_named(read_groups(found), name, offender=f"--group in {found}")


def with_doors(group: SiteGroup) -> SiteGroup:
    """The group, if it says by which lines the place is entered.

    Raises:
        ConfigError: It does not.
    """
    if not group.doors:
        problem = "expected its doors, over which entries are counted, found none"
        raise ConfigError(f"group {group.name!r}", problem, "list them under doors:")
    return group
