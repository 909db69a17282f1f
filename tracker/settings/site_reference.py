"""The keys of a site file as a page of Markdown, and as a JSON schema for editors and forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.settings.model import names_of
from tracker.settings.reference import key_table, properties
from tracker.settings.site import (
    DoorsSettings,
    FlowSettings,
    GroundPointSettings,
    GroundSettings,
    LineSettings,
    OccluderSettings,
    PrivacyZoneSettings,
    RectangleSettings,
    SiteSettings,
    TrafficSettings,
    ZoneSettings,
)
from tracker.settings.site_alerts import AlertSettings
from tracker.settings.site_premises import BaySettings, FootfallSettings, QueueSettings

if TYPE_CHECKING:
    from tracker.settings.model import Settings

__all__ = ["site_page", "site_schema"]

PARTS: dict[str, type[Settings]] = {
    "lines": LineSettings,
    "zones": ZoneSettings,
    "occluders": OccluderSettings,
    "doors": DoorsSettings,
    "flows": FlowSettings,
    "privacy": PrivacyZoneSettings,
    "queues": QueueSettings,
    "footfall": FootfallSettings,
    "bays": BaySettings,
    "alerts": AlertSettings,
}

SECTIONS: dict[str, tuple[type[Settings], ...]] = {
    "ground": (GroundSettings, GroundPointSettings, RectangleSettings),
    "traffic": (TrafficSettings,),
}
"""Keys of the file that are mappings with keys of their own -> these, and those within them."""

_PAGE = """\
# Site files

Written by `masktrail settings site`; change the descriptions in `tracker/settings/site*.py`, then run
`masktrail settings site --out docs/reference/site.md`. Guide: [site files](../guide/site-files.md).

A site file, `sites/<camera>.yaml`, says what is measured in the picture of one camera. Points are `[x, y]` in shares of
the picture: `[0, 0]` is its upper left corner, `[1, 1]` the lower right one. Unknown keys, values out of range, lines
outside the picture and polygons that cross themselves are refused with their line. A file has at most 1,000,000 bytes
and 2,000 points.

A program that writes the file raises `revision` by one, refuses a file that has another revision than the one that it
read, replaces the file as a whole, and keeps the last 20 revisions as `.history/<camera>/<revision>.yaml` beside it.

After `masktrail settings site-schema --out site.schema.json` editors complete and check a file beside it that begins
with `# yaml-language-server: $schema=site.schema.json`.

## The file

{top}

{parts}
"""


def site_page() -> str:
    """The reference of all keys of a site file."""
    top = {
        name: field for name, field in SiteSettings.model_fields.items() if name not in PARTS and name not in SECTIONS
    }
    parts = [
        f"## Each of `{key}`\n\n{settings.__doc__}\n\n{key_table(settings.model_fields)}"
        for key, settings in PARTS.items()
    ]
    for key, inner in SECTIONS.items():
        tables = "\n\n".join(f"{settings.__doc__}\n\n{key_table(settings.model_fields)}" for settings in inner)
        parts.append(f"## `{key}`\n\n{tables}")
    return _PAGE.format(top=key_table(top), parts="\n\n".join(parts))


def site_schema() -> dict[str, Any]:
    """The JSON schema of a site file: every key and alias, types, ranges, descriptions."""
    top = {key: entry for key, entry in properties(SiteSettings).items() if key not in PARTS and key not in SECTIONS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "masktrail: a site file",
        "type": "object",
        "additionalProperties": False,
        "properties": top
        | {key: _list_of(key, settings) for key, settings in PARTS.items()}
        | {key: _mapping_of(key, held[0]) for key, held in SECTIONS.items()},
    }


def _mapping_of(key: str, settings: type[Settings]) -> dict[str, Any]:
    return {
        "description": SiteSettings.model_fields[key].description,
        "type": "object",
        "additionalProperties": False,
        "properties": properties(settings),
    }


def _list_of(key: str, settings: type[Settings]) -> dict[str, Any]:
    aliases = {name for alias, name in names_of(settings).items() if alias != name}
    required = [name for name, field in settings.model_fields.items() if field.is_required() and name not in aliases]
    items = {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties(settings),
    }
    return {"description": SiteSettings.model_fields[key].description, "type": "array", "items": items}
