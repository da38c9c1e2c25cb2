"""The OpenAPI document of the control port: complete, and true."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.events import UPLOAD_ID
from tests.gateway.controlled import ask
from vuemantics_ws.core.upload import Event
from vuemantics_ws.gateway.answers import EVENT_EXAMPLES


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    said: dict[str, Any] = ask("GET", "/openapi.json").json()
    return said


def _every(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _every(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _every(inner)


def test_the_document_has_every_endpoint_and_nothing_dangles(document: dict[str, Any]) -> None:
    operations = {(method, path) for path, item in document["paths"].items() for method in item}
    assert operations == {
        ("post", "/events"), ("get", "/uploads/{upload_id}"), ("get", "/statistics"), ("get", "/happenings"),
        ("post", "/tokens"), ("get", "/healthz"), ("get", "/readyz"), ("get", "/uploads"), ("get", "/connections"),
        ("get", "/followers"), ("get", "/follows"), ("get", "/watch"), ("get", "/nodes"), ("get", "/metrics"),
        ("delete", "/connections/{number}"),
        ("delete", "/users/{user_id}/connections"),
    }  # fmt: skip
    schemas = document["components"]["schemas"]
    references = {found["$ref"] for found in _every(document) if isinstance(found.get("$ref"), str)}
    names = {reference.removeprefix("#/components/schemas/") for reference in references}
    assert names == set(schemas), "each is defined, and each is used"
    assert "HTTPValidationError" not in schemas


def test_the_document_explains_every_operation_answer_and_field(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["summary"], path
            assert operation["tags"], path
            assert {"200", "403"} <= set(operation["responses"]), path
            for status, response in operation["responses"].items():
                assert response["description"], (path, status)
                (content,) = response["content"].items()
                assert content[1]["schema"]["$ref"], (path, status)
                assert int(status) < 400 or content[1]["schema"]["$ref"].endswith("/Problem")
    for endless in ("/happenings", "/watch"):
        assert list(document["paths"][endless]["get"]["responses"]["200"]["content"]) == ["application/x-ndjson"]
    for model in (
        "PublishReceipt", "UploadState", "Statistics", "Tables", "Counters", "IssuedToken", "Health", "Happening",
        "ConnectionRow", "UploadRow", "FollowersRow", "FollowsRow", "UploadsPage", "WatchFrame", "NodeDescription", "Kicked",
        "BrokerDescription", "NodeRow", "PresentNode", "NodesPage",
    ):  # fmt: skip
        for name, field in document["components"]["schemas"][model]["properties"].items():
            assert field.get("examples") or "$ref" in field, (model, name)


def test_the_document_describes_events_as_the_judge_reads_them(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    body = document["paths"]["/events"]["post"]["requestBody"]["content"]["application/json"]

    assert body["schema"] == {"$ref": "#/components/schemas/UploadMessage"}
    assert set(body["examples"]) == set(schemas["UploadMessage"]["discriminator"]["mapping"]) == set(EVENT_EXAMPLES)
    for name, example in body["examples"].items():
        assert example["value"] == EVENT_EXAMPLES[name]
        event = Event.read(json.dumps(example["value"]).encode())
        assert event.terminal is (name != "upload_progress")
    assert not any("owner" in schemas[name]["properties"] for name in ("UploadProgress", "ProgressPayload", "UploadFailed"))
    assert re.fullmatch(schemas["UploadFailed"]["properties"]["upload_id"]["pattern"], UPLOAD_ID)
    assert schemas["UploadState"]["properties"]["event"] == body["schema"]
