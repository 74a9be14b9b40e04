"""`veneer check`, and the command line around it."""

from pathlib import Path

import pytest

from veneer.cli import main
from veneer.config.reference import reference

GOOD = '[upstream]\nurl = "http://localhost:8000/v1"\napi_key = "env:KEY"\n'


def check(folder: Path, text: str) -> int:
    path = folder / "veneer.toml"
    path.write_text(text)
    return main(["check", str(path)])


def test_a_good_file_is_in_order_and_its_secrets_stay_unsaid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY", "sk-1")
    assert check(tmp_path, GOOD) == 0
    said = capsys.readouterr()
    assert said.out == (
        f"{tmp_path / 'veneer.toml'} is in order.\n"
        "It has no keys for callers: give veneer serve a --store, or --no-auth.\n"
    )
    assert "sk-1" not in said.out + said.err


def test_each_fault_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, "[serve]\nprot = 1\nworkers = 0\n") == 2
    assert capsys.readouterr().err == (
        "veneer: [serve] has no 'prot'; did you mean 'port'?\n"
        "veneer: [serve] workers must be a whole number from 1 to 256, not 0.\n"
    )


def test_auth_is_checked_and_its_store_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY", "sk-1")
    monkeypatch.delenv("VENEER_PEPPER", raising=False)
    auth = '[auth]\nstore = "sqlite:///k.db"\n'
    assert check(tmp_path, GOOD + auth) == 2
    assert "variable VENEER_PEPPER is not set" in capsys.readouterr().err
    monkeypatch.setenv("VENEER_PEPPER", "p" * 32)
    assert check(tmp_path, GOOD + auth) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'veneer.toml'} is in order.\n"
    assert not (tmp_path / "k.db").exists()


def test_a_secret_that_is_not_there_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KEY", raising=False)
    assert check(tmp_path, GOOD) == 2
    assert "variable KEY is not set" in capsys.readouterr().err


def test_without_a_name_the_file_here_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 2
    assert capsys.readouterr().err.startswith("veneer: veneer.toml cannot be read")


def test_the_reference_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--options"]) == 0
    assert capsys.readouterr().out == reference()


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["serve", "--port", "x"]])
def test_wrong_arguments_are_said_in_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_help_says_how_to_make_the_first_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    assert "veneer keys create" in capsys.readouterr().out


def test_the_version_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name} 1.2.3")
    with pytest.raises(SystemExit) as exited:
        main(["--version"])
    assert exited.value.code == 0
    assert capsys.readouterr().out == "veneer veneer 1.2.3\n"


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_without_the_extra_it_is_named(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("veneer.cli.find_spec", lambda name: None if name == "uvicorn" else name)
    assert main([command]) == 2
    assert capsys.readouterr().err == (
        f"veneer: veneer {command} needs the extra 'serve': pip install 'veneer[serve]'.\n"
    )


def test_workers_need_fork(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("veneer.cli.serve.sys.platform", "win32")
    assert (
        main(["serve", "--upstream", "http://127.0.0.1:9/v1", "--workers", "2", "--no-auth"]) == 2
    )
    assert "several workers need fork" in capsys.readouterr().err


def test_an_interrupt_before_anything_is_served_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("veneer.cli.import_module", interrupt)
    assert main(["check"]) == 130
