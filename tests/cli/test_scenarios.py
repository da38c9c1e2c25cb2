"""``scenarios``: what can be played, and whether a file can be."""

import json
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.simulation.format.files import SMALL, changed, with_client
from vuemantics_ws.simulation.format.bundled import bundled_folder, bundled_names, bundled_text
from vuemantics_ws.simulation.format.reader import parse_scenario


def written(folder: Path, text: str, name: str = "mine.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_list_has_every_bundled_scenario_with_its_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")

    outcome = run("scenarios")

    assert (outcome.code, outcome.err) == (0, "")
    for name in bundled_names():
        assert any(line.startswith(f"{name} ") and "?" in line for line in outcome.lines), name
    (crowd,) = (number for number, line in enumerate(outcome.lines) if line.startswith("crowd "))
    assert "needs 1000 open files" in outcome.lines[crowd + 1]
    (late,) = (number for number, line in enumerate(outcome.lines) if line.startswith("late-join "))
    assert "needs redis-server" in outcome.lines[late + 1]


def test_the_list_fits_the_narrowest_terminal() -> None:
    assert max(map(len, run("scenarios").lines)) <= 80


def test_a_narrow_list_has_each_question_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    lines = run("scenarios").lines

    assert max(map(len, lines)) <= 40
    start = lines.index("quickstart  about 10 s")
    assert lines[start + 1] == "  Does a person with two tabs, a"
    assert "  needs redis-server" in lines


@pytest.mark.parametrize("columns", ["40", "80"])
def test_no_line_of_the_list_ends_with_blanks(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    assert [line for line in run("scenarios").lines if line != line.rstrip()] == []


def test_the_list_is_one_object_a_line_for_scripts() -> None:
    found = {entry["name"]: entry for entry in run("scenarios", "--json").objects}

    assert list(found) == bundled_names()
    quickstart = found["quickstart"]
    assert (quickstart["clients"], quickstart["uploads"], quickstart["duration_s"], quickstart["not_yet"]) == (6, 4, 30.0, [])
    assert quickstart["question"].endswith("?")
    assert 5 < quickstart["takes_s"] < 15
    assert (found["redis-outage"]["not_yet"], found["redis-outage"]["needs_redis"]) == ([], True)


def test_a_good_file_is_summed_up(tmp_path: Path) -> None:
    file = written(tmp_path, SMALL)

    outcome = run("scenarios", "--check", file, "--check", "quickstart")

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.lines == [
        f"{file}: 1 client, 1 upload, 6 events, about 16 s, 10s at most",
        "quickstart: 6 clients, 4 uploads, 87 events, about 10 s, 30s at most",
    ]


def test_a_bad_file_is_answered_with_all_its_errors_and_the_others_are_still_checked(tmp_path: Path) -> None:
    file = written(tmp_path, changed("10s", "10").replace("owner: alice", "owner: alcie"))

    outcome = run("scenarios", "--check", file, "--check", "quickstart")

    assert outcome.code == 2
    assert [line.partition(":")[0] for line in outcome.lines] == ["quickstart"]
    assert outcome.err.splitlines() == [
        f"error: {file}:4: duration: expected a duration with its unit, such as 250ms or 30s, got 10 (did you mean 10s?)",
        f"error: {file}:7: uploads[0].owner: there is no user 'alcie' (did you mean alice?)",
        "2 errors in 1 of 2 files",
    ]


def test_one_check_takes_as_many_files_as_a_shell_gives_it(tmp_path: Path) -> None:
    files = [written(tmp_path, SMALL, f"{name}.yaml") for name in "abc"]

    outcome = run("scenarios", "--check", *files)

    assert (outcome.code, outcome.err) == (0, "")
    assert [line.partition(": ")[0] for line in outcome.lines] == files


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    outcome = run("scenarios", "--check", str(tmp_path), "quickstart")

    assert outcome.code == 2
    assert outcome.err == f"error: {tmp_path}: expected a file, got a folder\n1 error in 1 of 2 files\n"


def test_what_is_not_built_yet_cannot_be_played_either(tmp_path: Path) -> None:
    outcome = run("scenarios", "--check", written(tmp_path, SMALL + "server: {config: {access: http}}\n"))

    assert (outcome.code, outcome.out) == (2, "")
    assert "server.config.access: http is not built yet" in outcome.err


def test_a_slip_in_a_script_is_a_warning(tmp_path: Path) -> None:
    file = written(tmp_path, with_client(script="[auth, {send: {action: subscribe_upload, upload_id: upp}}]"))

    outcome = run("scenarios", "--check", file)

    assert outcome.code == 0
    assert outcome.err.startswith(f"warning: {file}:9: clients[0].script[1].send.upload_id: no upload of the file is called")


@pytest.mark.parametrize("missing", ["nowhere.yaml", "quickstrat"])
def test_a_file_that_is_not_there_is_an_error(missing: str) -> None:
    outcome = run("scenarios", "--check", missing)

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {missing}: there is no such file, and no bundled scenario of that name")


def test_scripts_get_the_problems_of_each_file_as_an_object(tmp_path: Path) -> None:
    good, bad = written(tmp_path, SMALL, "good.yaml"), written(tmp_path, changed("10s", "10"), "bad.yaml")
    later = written(tmp_path, SMALL + "server: {config: {access: http}}\n", "later.yaml")

    outcome = run("scenarios", "--json", "--check", good, "--check", bad, "--check", later, "--check", "nowhere")

    assert (outcome.code, outcome.err) == (2, "")
    first, second, third, fourth = outcome.objects
    assert (first["file"], first["ok"], first["problems"], first["clients"]) == (good, True, [], 1)
    assert (second["file"], second["ok"]) == (bad, False)
    (problem,) = second["problems"]
    assert (problem["file"], problem["line"], problem["path"], problem["not_yet"]) == (bad, 4, "duration", False)
    assert problem["message"].startswith("expected a duration with its unit")
    assert [problem["not_yet"] for problem in third["problems"]] == [True]
    assert (fourth["problems"][0]["line"], fourth["ok"]) == (None, False)


def test_the_schema_is_printed_as_it_ships() -> None:
    outcome = run("scenarios", "--schema")

    assert outcome.code == 0
    assert outcome.out == (bundled_folder() / "scenario.schema.json").read_text(encoding="utf-8")
    assert json.loads(outcome.out)["title"]


@pytest.mark.parametrize("name", ["quickstart", "rolling-restart"])
def test_a_bundled_file_is_shown_as_it_stands(name: str) -> None:
    outcome = run("scenarios", "--show", name)

    assert (outcome.code, outcome.out, outcome.err) == (0, bundled_text(name), "")


def test_what_is_shown_can_be_played() -> None:
    assert parse_scenario(run("scenarios", "--show", "quickstart").out, file="mine", environment={}).name == "quickstart"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--show", "manytabs"), "error: manytabs: there is no bundled scenario of that name (did you mean many-tabs?)\n"),
        (("--show", "x", "--schema"), "error: --schema: expected one of --check, --show and --schema\n"),
        (
            ("mine.yaml",),
            "error: mine.yaml: expected --check before a file\nhint: a scenario is played by simulate\n",
        ),
        (("--schema", "--json"), "error: --json: --schema has a form of its own\n"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], error: str) -> None:
    outcome = run("scenarios", *arguments)

    assert (outcome.code, outcome.out, outcome.err) == (2, "", error)


def test_no_character_of_a_file_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    file = written(tmp_path, SMALL + '"\\e[31m": 1\n')

    outcome = run("scenarios", "--check", file)

    assert outcome.code == 2
    assert "\x1b" not in outcome.err
    assert "\\x1b[31m: there is no such key" in outcome.err
