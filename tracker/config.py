"""A YAML file of cameras enters; typed, checked settings leave. Errors name the line; secrets are in the environment.

::

    model: yolact-nano            # a model of the zoo or an .onnx file; a camera may name another
    device: auto
    metrics: 127.0.0.1:9117       # health and metrics; off for none
    defaults: {stride: 1}         # for every camera, any key but name and url
    cameras:
      - name: gate
        url: rtsp://viewer:${GATE_PASSWORD}@10.0.0.7/stream1
        classes: [person, car]
        records: out/{name}-{time}.jsonl
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CameraConfig", "LiveConfig", "fill_in", "is_camera", "load_live_config", "parse_live_config"]

DEFAULT_MODEL = "yolact-nano"
CameraMotionChoice = Literal["auto", "off"]
METRICS_ADDRESS = "127.0.0.1:9117"

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """One camera or recording.

    Attributes:
        name: Letters, digits, ``_``, ``-`` and ``.``; names files, records and metrics.
        url: What is opened: an address, a device or a file. May hold a password, and so is not part of ``repr``.
        model: A model of the zoo or an ``.onnx`` file; cameras with the same share one session.
        iou: Overlap from which two instances are one; ``None`` = the model's own.
        classes: Names of the classes to follow; empty = all.
        conf: Lowest score to look at; ``None`` = the model's own.
        stride: Use every n-th frame.
        policy: ``latest``, ``all``, or ``auto``: ``latest`` for what is live.
        max_age_s: Frames older than this when their turn comes are dropped; ``None`` = no limit.
        timeout_s: Longest wait for an answer.
        stall_s: Seconds without a frame after which the connection is made anew.
        transport: Of RTSP, ``tcp`` or ``udp``.
        decode: Where to decode: ``auto``, ``cpu``, ``cuda``, ``vaapi``, ``videotoolbox``.
        fps: Rate of streams without times; asked of a webcam.
        size: Asked of a webcam, ``1280x720``.
        format: Asked of a webcam, ``mjpeg`` or ``yuyv422``, say.
        options: Further options of FFmpeg's demuxer, such as ``video_size``.
        save: Annotated video; ``{name}`` and ``{time}`` are filled in.
        records: Record files, likewise.
        masks: Shapes in records: ``rle``, ``polygon`` or ``none``; ``None`` = the format's own.
        camera_motion: ``auto``: tracks are carried along when the camera moves; ``off``: it never does.
        reid: An ``.onnx`` re-identification network; ``None`` = the embeddings of the model, where it has any.
        rotate_s: Length of the parts of files with ``{time}`` in their name.
        rotate_bytes: Size at which a part is ended; ``None`` = by time only.
        place: ``file:line`` where it was read, for messages.
    """

    name: str
    url: str = field(repr=False)
    model: str = DEFAULT_MODEL
    iou: float | None = None
    classes: tuple[str, ...] = ()
    conf: float | None = None
    stride: int = 1
    policy: Literal["auto", "latest", "all"] = "auto"
    max_age_s: float | None = None
    timeout_s: float = 5.0
    stall_s: float = 10.0
    transport: Literal["tcp", "udp"] = "tcp"
    decode: Literal["auto", "cpu", "cuda", "vaapi", "videotoolbox"] = "auto"
    fps: float | None = None
    size: str | None = None
    format: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    save: str | None = None
    records: tuple[str, ...] = ()
    masks: Literal["rle", "polygon", "none"] | None = None
    camera_motion: CameraMotionChoice = "auto"
    reid: str | None = None
    rotate_s: float = 3600.0
    rotate_bytes: int | None = None
    place: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """Everything for ``masktrail live``.

    Attributes:
        cameras: At least one, with different names.
        device: ``auto``, ``cpu``, ``cuda``, ``tensorrt``; for all models.
        batch: Most frames per run of the model; ``None`` = what the model takes.
        batch_wait_s: Longest wait for a batch to fill.
        workers: Runs at the same time; ``None`` = one per core on the CPU, two on a GPU.
        metrics: Where health and metrics are served, ``host:port``; ``None`` = nowhere.
        log: ``text``, or ``json`` for one object per line.
        state: Folder in which cameras' identities survive a restart; ``None`` = they do not.
        state_max_age_s: States older than this are not taken up.
        path: The file that it was read from.
    """

    cameras: tuple[CameraConfig, ...]
    device: str = "auto"
    batch: int | None = None
    batch_wait_s: float = 0.005
    workers: int | None = None
    metrics: str | None = METRICS_ADDRESS
    log: Literal["text", "json"] = "text"
    state: str | None = None
    state_max_age_s: float = 86_400.0
    path: str | None = field(default=None, repr=False, compare=False)


def load_live_config(path: str | os.PathLike[str], environment: Mapping[str, str] | None = None) -> LiveConfig:
    """Read and check a file.

    Args:
        path: A YAML file.
        environment: What ``${NAME}`` stands for; the process's environment where not given.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong; the offender is ``path:line``.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "text that is not UTF-8"
        raise ConfigError(path, f"expected a YAML file of cameras, found: {reason}", "check the path") from None
    return parse_live_config(text, name=os.fspath(path), environment=environment)


def parse_live_config(
    text: str, *, name: str = "cameras.yaml", environment: Mapping[str, str] | None = None
) -> LiveConfig:
    """Check settings that were read elsewhere; arguments and errors as for :func:`load_live_config`."""
    try:
        import yaml
    except ImportError:
        problem = "expected PyYAML to read it, found it is not installed"
        raise ConfigError(name, problem, "pip install 'masktrail[live]'") from None

    failure: ConfigError | None = None
    root: Any = None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:  # its text quotes the file, passwords included: only the place is told
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        failure = ConfigError(f"{name}:{line}", f"expected YAML, found {error.problem}", "check quotes and indentation")
    except yaml.YAMLError:
        failure = ConfigError(name, "expected YAML, found something else", "check the file")
    if failure is not None:
        raise failure
    return _Reader(name, os.environ if environment is None else environment).live(root)


def fill_in(text: str, environment: Mapping[str, str] | None = None) -> str:
    """``${NAME}`` in a text replaced by environment variables, so that no password need stand on a command line.

    Raises:
        ConfigError: A variable is not set.

    >>> fill_in("rtsp://viewer:${GATE}@10.0.0.7/stream1", {"GATE": "hunter2"})
    'rtsp://viewer:hunter2@10.0.0.7/stream1'
    """
    environment = os.environ if environment is None else environment

    def value_of(match: re.Match[str]) -> str:
        variable = match.group(1)
        if variable not in environment:
            problem = f"expected the environment variable {variable}, found it is not set"
            raise ConfigError("${" + variable + "}", problem, f"export {variable}=...")
        return environment[variable]

    return _VARIABLE.sub(value_of, text)


class _Reader:
    """Nodes of a YAML file to settings; knows the file's name and the environment."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        self._environment = environment
        fraction = self._number(0, 1)
        positive = self._number(0.001, 86400)
        self._camera_keys: dict[str, Callable[[Any], Any]] = {
            "name": self._camera_name,
            "url": self._text,
            "model": self._text,
            "iou": fraction,
            "classes": self._texts,
            "conf": fraction,
            "stride": self._integer(1, 10_000),
            "policy": self._choice("auto", "latest", "all"),
            "max_age_s": positive,
            "timeout_s": positive,
            "stall_s": positive,
            "transport": self._choice("tcp", "udp"),
            "decode": self._choice("auto", "cpu", "cuda", "vaapi", "videotoolbox"),
            "size": self._matching(r"\d{1,5}x\d{1,5}", "a size such as 1280x720"),
            "format": self._matching(r"[A-Za-z0-9_]{3,16}", "a format such as mjpeg"),
            "fps": self._number(0.01, 1000),
            "options": self._options,
            "save": self._text,
            "records": self._texts,
            "masks": self._choice("rle", "polygon", "none"),
            "camera_motion": self._choice("auto", "off"),
            "reid": self._text,
            "rotate_s": self._number(1, 86400 * 31),
            "rotate_mb": lambda node: int(self._number(0.01, 1e6)(node) * 1e6),
        }
        self._keys: dict[str, Callable[[Any], Any]] = {
            "model": self._text,
            "device": self._text,
            "iou": fraction,
            "batch": self._integer(1, 256),
            "batch_wait_ms": lambda node: self._number(0, 10_000)(node) / 1000,
            "workers": self._integer(1, 256),
            "metrics": self._address,
            "log": self._choice("text", "json"),
            "state": self._text,
            "state_max_age_s": positive,
            "defaults": lambda node: node,
            "cameras": lambda node: node,
        }

    def live(self, root: Any) -> LiveConfig:
        if root is None:
            raise ConfigError(self._name, "expected a list of cameras, found an empty file", "see docs/live.md")
        values = self._mapping(root, self._keys, "the file")
        listed = values.pop("cameras", None)
        defaults_node = values.pop("defaults", None)
        shared = {key: check for key, check in self._camera_keys.items() if key not in {"name", "url"}}
        defaults: dict[str, Any] = {key: values.pop(key) for key in ("model", "iou") if key in values}
        if defaults_node is not None:
            defaults |= self._mapping(defaults_node, shared, "defaults")
        if listed is None or not _is(listed, "sequence") or not listed.value:
            self._fail(listed or root, "expected at least one camera under `cameras`, found none", "add `- name: ...`")
        cameras = [self._camera(node, defaults) for node in listed.value]
        seen: dict[str, int] = {}
        for camera, node in zip(cameras, listed.value, strict=True):
            if camera.name in seen:
                found = f"{camera.name} also in line {seen[camera.name]}"
                self._fail(node, f"expected different names, found {found}", "rename one of them")
            seen[camera.name] = node.start_mark.line + 1
        renamed = {{"batch_wait_ms": "batch_wait_s"}.get(key, key): value for key, value in values.items()}
        return LiveConfig(cameras=tuple(cameras), path=self._name, **renamed)

    def _camera(self, node: Any, defaults: dict[str, Any]) -> CameraConfig:
        values = self._mapping(node, self._camera_keys, "a camera")
        for key in (item.name for item in fields(CameraConfig) if item.default is MISSING):
            if key not in values:
                self._fail(node, f"expected a key `{key}` in every camera, found none", f"add `{key}: ...`")
        merged = defaults | values
        renamed = {{"rotate_mb": "rotate_bytes"}.get(key, key): value for key, value in merged.items()}
        camera = CameraConfig(**renamed, place=f"{self._name}:{node.start_mark.line + 1}")
        if is_camera(camera.url):
            for path in (*camera.records, *([camera.save] if camera.save else [])):
                if "{time}" not in path and "://" not in path:
                    remedy = (
                        f"write {{time}} into its name: {Path(path).with_name('{name}-{time}' + Path(path).suffix)}"
                    )
                    found = "one file that would grow without end, and be replaced at the next start"
                    self._fail(node, f"{path}: expected a file per part of an endless camera, found {found}", remedy)
        return camera

    def _mapping(self, node: Any, keys: Mapping[str, Callable[[Any], Any]], what: str) -> dict[str, Any]:
        if not _is(node, "mapping"):
            self._fail(node, f"expected `key: value` lines for {what}, found a {_kind(node)}", "check the indentation")
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if _is(key_node, "scalar") else "?"
            if key not in keys:
                close = difflib.get_close_matches(str(key), keys, 1)
                remedy = f"did you mean {close[0]!r}?" if close else f"keys there: {', '.join(keys)}"
                self._fail(key_node, f"unknown key {str(key)!r} in {what}", remedy)
            if key in values:
                self._fail(key_node, f"expected each key once in {what}, found {key!r} twice", "remove one of them")
            values[key] = keys[key](value_node)
        return values

    def _text(self, node: Any) -> str:
        if not _is(node, "scalar") or node.tag.endswith(":null") or not node.value:
            self._fail(node, f"expected text, found {_shown(node)}", "write a value, in quotes if need be")

        try:
            return fill_in(cast("str", node.value), self._environment)
        except ConfigError as error:
            self._fail(node, error.problem, error.remedy)
            raise

    def _texts(self, node: Any) -> tuple[str, ...]:
        if _is(node, "sequence"):
            return tuple(self._text(entry) for entry in node.value)
        return (self._text(node),)

    def _options(self, node: Any) -> tuple[tuple[str, str], ...]:
        if not _is(node, "mapping"):
            self._fail(node, f"expected `key: value` options, found {_shown(node)}", "write {video_size: 1280x720}")
        return tuple((str(key.value), self._text(value)) for key, value in node.value)

    def _camera_name(self, node: Any) -> str:
        name = self._text(node)
        if not _NAME.match(name):
            problem = f"expected a name of letters, digits, _, - and ., found {_shown(node)}"
            self._fail(node, problem, "it becomes part of file names and metrics")
        return name

    def _number(self, low: float, high: float) -> Callable[[Any], float]:
        def read(node: Any) -> float:
            try:
                value = float(self._text(node))
            except ValueError:
                value = float("nan")
            if not low <= value <= high:
                self._fail(node, f"expected a number from {low:g} to {high:g}, found {_shown(node)}", "change it")
            return value

        return read

    def _integer(self, low: int, high: int) -> Callable[[Any], int]:
        def read(node: Any) -> int:
            text = self._text(node)
            if not text.isdecimal() or not low <= int(text) <= high:
                self._fail(node, f"expected a whole number from {low} to {high}, found {_shown(node)}", "change it")
            return int(text)

        return read

    def _choice(self, *choices: str) -> Callable[[Any], str]:
        def read(node: Any) -> str:
            text = self._text(node)
            if text not in choices:
                self._fail(node, f"expected one of {', '.join(choices)}, found {_shown(node)}", "choose one of them")
            return text

        return read

    def _matching(self, pattern: str, expected: str) -> Callable[[Any], str]:
        def read(node: Any) -> str:
            text = self._text(node)
            if re.fullmatch(pattern, text) is None:
                self._fail(node, f"expected {expected}, found {_shown(node)}", "see docs/live.md")
            return text

        return read

    def _address(self, node: Any) -> str | None:
        text = self._text(node)
        if text.lower() in {"off", "no", "false", "none"}:
            return None
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            self._fail(node, f"expected host:port or off, found {_shown(node)}", f"for example {METRICS_ADDRESS}")
        return text

    def _fail(self, node: Any, problem: str, remedy: str) -> None:
        raise ConfigError(f"{self._name}:{node.start_mark.line + 1}", problem, remedy)


def _is(node: Any, kind: str) -> bool:
    return getattr(node, "id", None) == kind


def _kind(node: Any) -> str:
    return {"scalar": "single value", "sequence": "list", "mapping": "mapping"}[str(node.id)]


def _shown(node: Any) -> str:
    """A value as the file spells it: variables unexpanded, so that no secret is told."""
    return repr(node.value) if _is(node, "scalar") else f"a {_kind(node)}"


def is_camera(url: str) -> bool:
    """Whether an entry is endless: a device or a network address."""
    if url.partition("?")[0].isdecimal() or url.startswith("/dev/video"):
        return True
    return "://" in url and not url.startswith("file://")
