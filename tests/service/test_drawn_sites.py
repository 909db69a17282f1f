"""Sites that are drawn in the page: where they lie, when they count, and how their reload is reported."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tracker.errors import ConfigError, SinkError
from tracker.service.drawn_sites import dashboard_folder, site_path, with_drawn_sites
from tracker.service.reloading import Reloads
from tracker.service.viewers import Viewers
from tracker.settings.dashboard import DashboardSettings
from tracker.settings.service import ServiceSettings
from tracker.settings.site_file import write_site
from tracker.settings.stream import CameraSettings
from tracker.site import Line, Site

LINE = Site(lines=(Line(name="line", points=((0.1, 0.5), (0.9, 0.5))),), reference_size=(1280, 720))


def config(folder: Path, *cameras: CameraSettings, **settings) -> ServiceSettings:
    given = {"dashboard": DashboardSettings(), "path": str(folder / "cameras.yaml")} | settings
    return ServiceSettings(cameras=cameras or (CameraSettings(name="gate", url="rtsp://10.0.0.7/a"),), **given)


def test_the_folder_is_the_one_that_is_named_or_beside_the_states_or_the_settings(tmp_path) -> None:
    assert dashboard_folder(config(tmp_path)) == tmp_path / "dashboard"
    assert dashboard_folder(config(tmp_path, state="st")) == Path("st/dashboard")
    named = config(tmp_path, state="st", dashboard=DashboardSettings(folder="web"))
    assert dashboard_folder(named) == Path("web")


def test_a_site_counts_once_it_is_drawn_and_has_a_ledger(tmp_path) -> None:
    settings = config(tmp_path)
    [before] = with_drawn_sites(settings).cameras
    assert (before.site, before.events) == (None, ())
    path = site_path(settings, settings.cameras[0])
    assert path == tmp_path / "dashboard/sites/gate.yaml"
    write_site(path, LINE)
    [after] = with_drawn_sites(settings).cameras
    assert (after.site, after.events) == (str(path), (str(tmp_path / "dashboard/events.sqlite"),))
    assert (after.name, after.url) == (before.name, before.url)


def test_a_site_and_a_ledger_of_the_settings_stay_theirs(tmp_path) -> None:
    own = tmp_path / "gate.yaml"
    write_site(own, LINE)
    named = CameraSettings(name="gate", url="rtsp://10.0.0.7/a", site=str(own), events=("all.sqlite",))
    [found] = with_drawn_sites(config(tmp_path, named)).cameras
    assert (found.site, found.events) == (str(own), ("all.sqlite",))
    lines = CameraSettings(name="gate", url="rtsp://10.0.0.7/a", site=str(own), events=("e-{time}.jsonl",))
    [found] = with_drawn_sites(config(tmp_path, lines)).cameras
    assert found.events == ("e-{time}.jsonl", str(tmp_path / "dashboard/events.sqlite"))


def test_without_a_dashboard_nothing_is_made(tmp_path) -> None:
    settings = config(tmp_path, dashboard=None)
    assert with_drawn_sites(settings) is settings
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="choose another one"):
        with_drawn_sites(config(tmp_path, dashboard=DashboardSettings(folder=str(tmp_path / "file/x"))))


class PlayedService:
    """Cameras whose reload is only noted, or fails."""

    def __init__(self, size: tuple[int, int] = (1280, 720)) -> None:
        self.reloaded: list[ServiceSettings] = []
        self.failure: ConfigError | None = None
        stream = SimpleNamespace(name="gate", opened=True, source=SimpleNamespace(info=SimpleNamespace(size=size)))
        self.engine = SimpleNamespace(streams=[stream])

    def reload(self, settings: ServiceSettings) -> None:
        if self.failure is not None:
            raise self.failure
        self.reloaded.append(settings)


@pytest.fixture
def told(tmp_path):
    """Viewers whose messages are kept."""
    viewers = Viewers(DashboardSettings(folder=str(tmp_path)))
    viewers.said = []
    viewers.site_loaded = lambda name, revision: viewers.said.append((name, revision))
    viewers.site_failed = lambda name, problem: viewers.said.append((name, problem))
    yield viewers
    viewers.close()


def test_a_saved_site_is_loaded_and_told(tmp_path, told) -> None:
    settings, service = config(tmp_path), PlayedService()
    reloads = Reloads(tmp_path / "cameras.yaml", settings, service, told)
    reloads.of_sites()
    assert (service.reloaded, told.said) == ([], [])  # nothing was saved
    with_drawn_sites(settings)
    write_site(site_path(settings, settings.cameras[0]), LINE)
    told.reloads.put("gate")
    told.reloads.put("gate")
    told.reloads.put("nowhere")
    reloads.of_sites()
    assert told.said == [("gate", 1)]
    [loaded] = service.reloaded
    assert loaded.cameras[0].site.endswith("gate.yaml")
    site_path(settings, settings.cameras[0]).unlink()
    told.reloads.put("gate")
    reloads.of_sites()
    assert told.said[-1] == ("gate", 0)
    assert service.reloaded[-1].cameras[0].site is None


@pytest.mark.parametrize("why", ["broken", "another shape", "refused"])
def test_a_site_that_cannot_be_used_is_told_and_changes_nothing(tmp_path, told, why: str) -> None:
    settings = config(tmp_path)
    service = PlayedService(size=(640, 640) if why == "another shape" else (1920, 1080))
    with_drawn_sites(settings)
    path = site_path(settings, settings.cameras[0])
    write_site(path, LINE)
    if why == "broken":
        path.write_text("version: 1\nlines: [{name: x}]\n")
    if why == "refused":
        service.failure = ConfigError("gate", "expected classes of the model, found 'cat'", "choose among these")
    told.reloads.put("gate")
    Reloads(tmp_path / "cameras.yaml", settings, service, told).of_sites()
    assert service.reloaded == []
    [(name, problem)] = told.said
    assert name == "gate"
    assert "expected" in problem
    assert str(tmp_path) not in problem


def test_without_a_dashboard_there_are_no_saved_sites(tmp_path) -> None:
    service = PlayedService()
    Reloads(tmp_path / "cameras.yaml", config(tmp_path, dashboard=None), service).of_sites()
    assert service.reloaded == []
