"""No script of the broker is forgotten."""

from importlib.resources import files

from vuemantics_ws.simulation.resp.scripts.known import runs


def test_each_script_has_a_file_of_its_name_and_something_that_runs_in_its_place() -> None:
    in_lua = {path.name.removesuffix(".lua") for path in (files("vuemantics_ws.brokers.redis") / "scripts").iterdir()}
    in_python = {path.name.removesuffix(".py") for path in files("vuemantics_ws.simulation.resp.scripts").iterdir()}

    assert in_lua <= in_python
    assert {run.__name__ for run in runs().values()} == in_lua - {"judge"}
