import pytest

pytest.register_assert_rewrite("tests.simulation.second_engine.plays")
