"""Flags and configuration folders of the command line."""

import pytest

from trustbench.config.compose import compose, conf_dir
from trustbench.config.compose.arguments import read
from trustbench.errors import ConfigError, TrustbenchError


def test_fail_fast_is_a_setting_of_the_launcher():
    command = read(["-m", "--fail-fast", "seed=1,2"])
    assert command.flags == ("-m",)
    assert command.overrides == ("seed=1,2", "hydra.launcher.on_error=stop", "hydra.mode=MULTIRUN")
    assert composed(command).hydra.launcher.on_error == "stop"


def composed(command):
    return compose([o for o in command.overrides if "," not in o])


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_fail_fast_needs_a_launcher_that_can_stop(launcher):
    with pytest.raises(ConfigError, match=f"--fail-fast and hydra/launcher={launcher} do not go"):
        read(["-m", "--fail-fast", f"hydra/launcher={launcher}"])


def test_flags_may_stand_anywhere():
    command = read(["seed=1", "-m", "--config-dir", str(conf_dir()), "control=reseed"])
    assert command.overrides == ("seed=1", "control=reseed", "hydra.mode=MULTIRUN")
    assert command.flags == ("-m", "--config-dir", str(conf_dir()))
    assert command.dirs == (conf_dir(), conf_dir())


def test_plugin_packages_bring_their_conf_folder(tmp_path, monkeypatch, seen):
    (tmp_path / "brought_5" / "conf" / "training").mkdir(parents=True)
    (tmp_path / "brought_5" / "__init__.py").write_text("")
    text = (conf_dir() / "training" / "tuned.yaml").read_text().replace("epochs: ", "epochs: 7")
    (tmp_path / "brought_5" / "conf" / "training" / "longer.yaml").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = type("Entry", (), {"module": "brought_5"})()
    monkeypatch.setattr("trustbench.config.compose.arguments.registered", lambda: (entry,))
    _, (arm,) = seen.run("training=longer")
    assert str(arm.training.epochs).startswith("7")


def test_a_missing_configuration_folder_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "trustbench.config.compose.arguments.__file__", str(tmp_path / "a" / "b" / "c.py")
    )
    with pytest.raises(TrustbenchError, match="configuration folder is missing: neither"):
        conf_dir()


def test_the_configuration_folder_of_a_wheel_comes_first(monkeypatch, tmp_path):
    for folder in (tmp_path / "pkg" / "_conf", tmp_path / "conf"):
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("")
    monkeypatch.setattr(
        "trustbench.config.compose.arguments.__file__",
        str(tmp_path / "pkg" / "config" / "compose" / "a.py"),
    )
    assert conf_dir() == tmp_path / "pkg" / "_conf"
