"""Reference page of the command line in Markdown: every command, its arguments, options, defaults and help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tracker.settings.stream import RunSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["command_page"]

_PAGE = """\
# Command line

Written by `masktrail settings commands`; change the help in `tracker/app/commands/` or the descriptions in
`tracker/settings/`, then run `masktrail settings commands --out docs/reference/commands.md`. Values, ranges and keys of
cameras.yaml: [settings](settings.md).

Exit status: 0 all is done, 1 a source or an output failed, 2 refused before any work (a wrong option, a name that is
taken), 130 stopped by Ctrl-C with everything done so far kept. `masktrail live`: [service](service.md#exit-status).

"""


def command_page(application: typer.Typer) -> str:
    """The reference of all commands; options that are settings stand in the reference of settings.

    Args:
        application: The command line, with its groups.
    """
    root = typer.main.get_command(application)
    return _PAGE + "\n".join(_section(path, command) for path, command in _commands(root, "masktrail"))


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, depth first, with the words that call it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, one in inner.items():
        yield from _commands(one, f"{path} {name}")


def _section(path: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and "--help" not in one.opts]
    takes_settings = "sources" in {one.name for one in arguments}
    own = [one for one in options if not (takes_settings and one.name in RunSettings.model_fields)]
    words = [path, *map(_usage, arguments)]
    usage = " ".join(words) + (" [OPTIONS]" if options else "")
    lines = [f"## {path}", "", f"`{usage}`", "", " ".join((command.help or "").split()), ""]
    if takes_settings:
        lines += ["And [the options of the settings](settings.md): a stream, a service, a run.", ""]
    if arguments or own:
        lines += ["| | default | |", "|---|---|---|"]
        lines += [_row(f"`{_word(one)}`", one) for one in arguments]
        lines += [_row(_option(one), one) for one in own]
        lines += [""]
    return "\n".join(lines)


def _row(name: str, parameter: Any) -> str:
    cells = (name, _default(parameter), " ".join((parameter.help or "").split()))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _word(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _usage(argument: Any) -> str:
    word = _word(argument) + ("..." if argument.nargs == -1 else "")
    return word if argument.required else f"[{word}]"


def _option(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    return ", ".join(f"`{word}{value}`" for word in (*option.opts, *option.secondary_opts))


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if (not value and value != 0) or value is False:
        return ""
    return f"`{value:.12g}`" if isinstance(value, float) else f"`{value}`"
