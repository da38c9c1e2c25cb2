"""Settings are declared once, and what would be unsafe cannot be made."""

import dataclasses
import subprocess
import sys
from ipaddress import ip_network

import pytest

from vuemantics_ws.errors import BadSetting
from vuemantics_ws.gateway.development import STATE_DIR_VARIABLE
from vuemantics_ws.gateway.settings import OTHER_VARIABLES, SETTINGS, Settings, settings_table

SECRET = "a secret of quite enough bytes for anybody"

SAMPLES: dict[str, tuple[object, object]] = {
    "handshake_timeout": ("250ms", 0.25),
    "grace": (0, 0.0),
    "drain": ("1m30s", 90.0),
    "message_bytes_max": ("2KiB", 2048),
    "messages_per_s": ("2.5/s", 2.5),
    "connections_max": (7, 7),
    "port": ("0", 0),
    "uvloop": (False, False),
    "log_level": ("debug", "debug"),
    "origin": (["https://Example.org:443", "http://localhost:5173"], ("https://example.org", "http://localhost:5173")),
    "access": ("owner", "owner"),
    "jwt_audience": ("browsers", "browsers"),
    "redis": ("redis://127.0.0.1:6379/2", "redis://127.0.0.1:6379/2"),
    "adopt": ("off", False),
    "node_name": ("web-1/2", "web-1/2"),
}


def refusal(**values: object) -> BadSetting:
    with pytest.raises(BadSetting) as caught:
        Settings(**values)  # type: ignore[arg-type]
    return caught.value


class TestNames:
    def test_a_name_drops_the_unit_of_seconds_and_nothing_else(self) -> None:
        names = {setting.field: setting.name for setting in SETTINGS.values()}

        assert names["auth_timeout_s"] == "auth_timeout"
        assert names["messages_per_s"] == "messages_per_s"
        assert names["message_bytes_max"] == "message_bytes_max"
        assert names["origins"] == "origin"
        assert names["trusted_proxies"] == "trusted_proxy"

    def test_every_field_is_a_setting_with_a_text_of_its_own(self) -> None:
        fields = {field.name for field in dataclasses.fields(Settings)}

        assert {setting.field for setting in SETTINGS.values()} == fields
        assert len({setting.about for setting in SETTINGS.values()}) >= len(fields) - 1  # "the same, …" twice
        assert len({setting.variable for setting in SETTINGS.values()}) == len(fields)

    def test_every_setting_stands_in_the_documentation(self) -> None:
        rows = settings_table().splitlines()[2:]

        assert [row.split("`")[1] for row in rows] == [setting.option for setting in SETTINGS.values()]
        assert "| `--grace` | `VUEMANTICS_WS_GRACE` | `5m` |" in settings_table()

    def test_a_secret_never_shows(self) -> None:
        settings = Settings(secret=SECRET, access="open", redis="redis://us:hush@127.0.0.1")

        for shown in (repr(settings), str(settings)):
            assert SECRET not in shown
            assert "hush" not in shown


class TestReading:
    @pytest.mark.parametrize("name", SAMPLES)
    def test_a_scenario_and_the_environment_mean_the_same(self, name: str) -> None:
        given, expected = SAMPLES[name]
        setting = SETTINGS[name]
        text = ",".join(given) if isinstance(given, list) else str(given)

        from_scenario = Settings.from_mapping({name: given})
        from_environment = Settings.from_environment({setting.variable: text, "HOME": "/root"})

        assert getattr(from_scenario, setting.field) == expected
        assert from_environment == from_scenario

    @pytest.mark.parametrize("name", SETTINGS)
    def test_every_default_can_be_written_and_read_again(self, name: str) -> None:
        setting = SETTINGS[name]

        if setting.default_text:
            assert setting.read(setting.default_text) == setting.default

    def test_the_environment_of_another_process_makes_the_same_settings(self) -> None:
        settings = Settings(
            secret=SECRET,
            access="owner",
            port=0,
            drain_s=0.0125,
            messages_per_s=2.5,
            uvloop=False,
            origins=("https://example.org", "http://localhost:5173"),
            trusted_proxies=(ip_network("10.0.0.0/8"),),
            write_buffer_bytes_max=5000,
        )

        environment = settings.to_environment()

        assert Settings.from_environment(environment) == settings
        assert "VUEMANTICS_WS_HOST" not in environment

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("grace", "5", "grace: expected a duration such as 250ms, 30s or 5m, got '5'"),
            ("grace", 5, "grace: expected DURATION, got 5"),
            ("auth_timeout", "1ms", "auth_timeout: expected at least 10ms, got '1ms'"),
            ("connections_max", "many", "connections_max: expected a whole number, got 'many'"),
            ("connections_max", 0, "connections_max: expected at least 1, got 0"),
            ("connections_max", True, "connections_max: expected COUNT, got True"),
            ("port", "70000", "port: expected a port of at most 65535, got 70000"),
            ("log_level", "loud", "log_level: expected debug or info or warning or error, got 'loud'"),
            ("uvloop", "perhaps", "uvloop: expected on, off or auto, got 'perhaps'"),
            ("adopt", "auto", "adopt: expected on or off, got 'auto'"),
            ("redis_prefix", "a{b}", "redis_prefix: expected at most 64 letters, digits and any of _.:/@-, got 'a{b}'"),
            ("node_name", "", "node_name: expected 1 to 64 letters, digits and any of _.:/@-, got ''"),
            ("host", "[::1]", "host: expected a name or an address without brackets, got '[::1]'"),
        ],
    )
    def test_what_cannot_be_is_refused_by_its_name(self, name: str, value: object, expected: str) -> None:
        with pytest.raises(BadSetting) as caught:
            Settings.from_mapping({name: value})

        assert caught.value.message == expected
        assert caught.value.setting == name

    def test_a_quantity_without_its_unit_is_shown_one(self) -> None:
        with pytest.raises(BadSetting) as caught:
            Settings.from_mapping({"grace": 300})

        assert caught.value.hint == "with its unit, such as 5m"

    def test_an_unknown_key_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(BadSetting) as caught:
            Settings.from_mapping({"auth_timout": "5s"})

        assert caught.value.hint == "did you mean auth_timeout?"

    def test_a_misspelt_variable_is_refused_rather_than_overlooked(self) -> None:
        with pytest.raises(BadSetting) as caught:
            Settings.from_environment({"VUEMANTICS_WS_SECERT": SECRET})

        assert caught.value.hint == "did you mean VUEMANTICS_WS_SECRET?"
        assert SECRET not in str(caught.value)

    def test_variables_of_others_under_the_same_prefix_are_let_be(self) -> None:
        assert Settings.from_environment(dict.fromkeys(OTHER_VARIABLES, "anything")) == Settings()

    def test_the_folder_for_state_is_one_of_them(self) -> None:
        assert STATE_DIR_VARIABLE in OTHER_VARIABLES

    def test_an_error_names_the_variable_it_came_from(self) -> None:
        with pytest.raises(BadSetting, match=r"^VUEMANTICS_WS_SECRET: expected a secret, since 0\.0\.0\.0 can be reached"):
            Settings.from_environment({"VUEMANTICS_WS_HOST": "0.0.0.0"})

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("VUEMANTICS_WS_PORT", "tcp://10.1.2.3:8765"),
            ("VUEMANTICS_WS_SERVICE_HOST", "10.1.2.3"),
            ("VUEMANTICS_WS_REDIS_SERVICE_HOST", "10.1.2.3"),
            ("VUEMANTICS_WS_REDIS_PORT", "tcp://10.1.2.3:6379"),
            ("VUEMANTICS_WS_REDIS_PORT_6379_TCP_ADDR", "10.1.2.3"),
        ],
    )
    def test_what_kubernetes_says_of_a_service_is_explained(self, variable: str, value: str) -> None:
        with pytest.raises(BadSetting) as caught:
            Settings.from_environment({variable: value})

        assert "enableServiceLinks" in str(caught.value.hint)


class TestSafety:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "::ffff:127.0.0.1"])
    def test_loopback_without_a_secret_is_development_mode_and_open(self, host: str) -> None:
        settings = Settings(host=host)

        assert settings.development
        assert settings.resolved_access == "open"
        assert settings.warnings() == []

    def test_development_mode_can_give_uploads_to_their_owners(self) -> None:
        assert Settings(access="owner").resolved_access == "owner"

    def test_loopback_with_a_secret_wants_a_rule(self) -> None:
        error = refusal(secret=SECRET)

        assert error.setting == "access"
        assert "--access owner" in str(error.hint)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "uploads.example.org", "::ffff:10.0.0.1"])
    def test_an_address_that_others_reach_wants_a_secret_and_a_rule(self, host: str) -> None:
        assert refusal(host=host).setting == "secret"
        assert refusal(host=host, access="open").setting == "secret"
        assert refusal(host=host, secret=SECRET).setting == "access"
        assert not Settings(host=host, secret=SECRET, access="owner").development

    @pytest.mark.parametrize("rule", ["claims", "http"])
    def test_rules_that_are_not_built_yet_say_so(self, rule: str) -> None:
        error = refusal(access=rule)

        assert error.setting == "access"
        assert error.hint == f"{rule} is known, but not built yet"

    def test_the_control_port_stays_on_loopback(self) -> None:
        error = refusal(control_host="0.0.0.0")

        assert error.setting == "control_host"
        assert "tunnel" in str(error.hint)

    def test_two_ports_cannot_be_one(self) -> None:
        assert refusal(port=9000, control_port=9000).setting == "control_port"
        assert Settings(port=0, control_port=0).port == 0

    def test_an_empty_secret_is_none_of_both(self) -> None:
        assert refusal(secret="", access="owner").setting == "secret"

    @pytest.mark.parametrize(("algorithm", "enough"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
    def test_a_short_secret_only_warns(self, algorithm: str, enough: int) -> None:
        short, long = (
            Settings(secret="x" * size, access="owner", jwt_algorithm=algorithm, origins=("https://a.example",))  # type: ignore[arg-type]
            for size in (enough - 1, enough)
        )

        assert [warning.startswith("the secret is shorter") for warning in short.warnings()] == [True]
        assert long.warnings() == []

    def test_a_server_that_no_browser_may_reach_warns(self) -> None:
        warnings = Settings(secret=SECRET, access="owner").warnings()

        assert warnings == ["no origin is allowed, so every browser is refused: name the page's with --origin"]

    def test_trusting_every_proxy_warns(self) -> None:
        settings = Settings(
            secret=SECRET, access="owner", origins=("https://a.example",), trusted_proxies=(ip_network("::/0"),)
        )

        assert settings.warnings() == ["every address is a trusted proxy: anybody can say that they are somebody else"]

    def test_a_proxy_in_front_of_development_mode_is_refused(self) -> None:
        assert refusal(trusted_proxies=(ip_network("10.0.0.1"),)).setting == "trusted_proxy"


class TestOrigins:
    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("*", "name each page exactly"),
            ("https://*.example.org", "name each page exactly"),
            ("https://example.org/", "an origin has no path: https://example.org"),
            ("https://example.org/app?x", "an origin has no path: https://example.org"),
            ("example.org", "did you mean https://example.org?"),
            ("null", "identifies nobody"),
            ("https://bücher.example", "xn--"),
            ("https://user@example.org", "None"),
            ("https://example.org:99999", "None"),
            ("", "None"),
        ],
    )
    def test_what_is_no_origin_is_refused(self, text: str, hint: str) -> None:
        with pytest.raises(BadSetting, match=r"^origin: expected an origin") as caught:
            Settings.from_mapping({"origin": [text]})

        assert hint in str(caught.value.hint)

    @pytest.mark.parametrize(
        ("text", "sent"),
        [
            ("HTTPS://Example.ORG", "https://example.org"),
            ("http://example.org:80", "http://example.org"),
            ("https://example.org:8443", "https://example.org:8443"),
            ("http://[::1]:5173", "http://[::1]:5173"),
            ("capacitor://localhost", "capacitor://localhost"),
        ],
    )
    def test_an_origin_is_kept_as_browsers_send_it(self, text: str, sent: str) -> None:
        assert Settings.from_mapping({"origin": text}).origins == (sent,)


class TestProxies:
    def test_addresses_and_networks_are_both_networks(self) -> None:
        settings = Settings.from_mapping(
            {"trusted_proxy": "10.0.0.7, fd00::/8", "secret": SECRET, "access": "owner"},
        )

        assert settings.trusted_proxies == (ip_network("10.0.0.7/32"), ip_network("fd00::/8"))

    def test_a_network_with_a_host_in_it_is_refused_with_the_one_meant(self) -> None:
        with pytest.raises(BadSetting) as caught:
            Settings.from_mapping({"trusted_proxy": "10.0.0.7/8"})

        assert caught.value.hint == "did you mean 10.0.0.0/8?"


def test_importing_settings_imports_nothing_heavy() -> None:
    heavy = "{'pydantic', 'fastapi', 'uvicorn', 'httpx', 'rich', 'typer', 'websockets', 'jwt'}"
    code = f"import sys, vuemantics_ws.gateway.settings; print(sorted({heavy} & set(sys.modules)))"

    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert finished.stdout == "[]\n"
