"""Networks between networks: shares of detectors, the mask head of the trained one, and shares that make no sense."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
pytest.importorskip("onnx")

from export.__main__ import main  # noqa: E402
from export.networks import blend  # noqa: E402
from export.networks.yolact_nano import YolactNano  # noqa: E402
from export.training.train_command import INITIAL  # noqa: E402

pytestmark = pytest.mark.export


def filled(value: float) -> YolactNano:
    """A network whose every weight is `value`."""
    network = YolactNano()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    return network


def test_detectors_are_mixed_by_share_and_the_mask_head_stays():
    mixed = blend.blend(filled(1.0), [(filled(2.0), 0.2), (filled(5.0), 0.3)]).state_dict()
    heads = {key: value for key, value in mixed.items() if key.startswith("mask_head")}
    assert len(heads) > 10
    assert all((value == 1.0).all() for value in heads.values())
    for key in mixed.keys() - heads.keys():
        torch.testing.assert_close(mixed[key], torch.full_like(mixed[key], 0.5 * 1 + 0.2 * 2 + 0.3 * 5))


def test_files_of_either_kind_are_mixed_class_by_class(tmp_path):
    """A checkpoint with other classes beside the shipped file: rows of the same name meet."""
    one = YolactNano(("truck", "person"))
    torch.save({"average": one.state_dict(), "classes": ["truck", "person"]}, tmp_path / "own.pt")
    mixed = blend.load_blended(tmp_path / "own.pt", [(INITIAL, 0.25)])
    shipped = blend.load_blended(INITIAL)
    assert mixed.classes == ("truck", "person")
    for row, name in enumerate(mixed.classes):
        theirs = shipped.heads[1].class_out.weight[shipped.classes.index(name)]
        expected = 0.75 * one.heads[1].class_out.weight[row] + 0.25 * theirs
        torch.testing.assert_close(mixed.heads[1].class_out.weight[row], expected)


@pytest.mark.parametrize("text", ["file.onnx", "file.onnx=", "=0.5", "file.onnx=0", "file.onnx=1", "file.onnx=nan"])
def test_a_share_is_between_none_and_all(text, capsys):
    with pytest.raises(SystemExit):
        main(["nano", "--weights", "a.pt", "--blend", text])
    assert "expected FILE=SHARE" in capsys.readouterr().err


def test_shares_leave_something_for_the_weights(capsys):
    given = ["nano", "--weights", str(INITIAL), "--blend", f"{INITIAL}=0.5", f"{INITIAL}=0.5"]
    assert main(given) == 2
    assert "expected less than 1 in all, found 1" in capsys.readouterr().err


def test_runs_of_one_beginning_are_averaged_and_then_blended(tmp_path, capsys):
    files = []
    for value in (1.0, 2.0, 6.0):
        files.append(tmp_path / f"{value}.pt")
        torch.save({"average": filled(value).state_dict(), "classes": list(YolactNano().classes)}, files[-1])
    mixed = blend.load_blended(files[0], [(files[2], 0.5)], files[1:]).state_dict()
    for key, value in mixed.items():
        mean = (1.0 + 2.0 + 6.0) / 3
        expected = mean if key.startswith("mask_head") else 0.5 * mean + 0.5 * 6.0
        torch.testing.assert_close(value, torch.full_like(value, expected))
    own = YolactNano(("truck", "person"))
    torch.save({"average": own.state_dict(), "classes": list(own.classes)}, tmp_path / "own.pt")
    assert main(["nano", "--weights", str(files[0]), "--average", str(tmp_path / "own.pt")]) == 2
    assert "own.pt: expected the classes and shapes of --weights" in capsys.readouterr().err
