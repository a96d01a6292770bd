"""The interface as an OpenAPI document."""

from importlib.metadata import version
from typing import Any

from ..outputs.kinds import SPACES
from .answers import DRAWN, MESHED

_NUMBER: dict[str, Any] = {"type": "number"}
_UNSURE: dict[str, Any] = {"type": ["number", "null"]}


def _list(item: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    sizes = {} if count is None else {"minItems": count, "maxItems": count}
    return {"type": "array", "items": item} | sizes


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties]}


_POSE = _object(
    yaw=_NUMBER | {"description": "degrees; positive: the face turns to the picture's left edge"},
    pitch=_NUMBER | {"description": "degrees; positive: looks up"},
    roll=_NUMBER | {"description": "degrees; positive: tilts clockwise"},
    rotation=_list(_list(_NUMBER, 3), 3),
    quaternion=_list(_NUMBER, 4) | {"description": "x, y, z, w of the rotation"},
    translation=_list(_NUMBER, 3),
    scale=_NUMBER | {"description": "pixels per millimetre"},
)
_FACE = _object(
    box=_list(_NUMBER, 4) | {"description": "x0, y0, x1, y1 in pixels"},
    score=_NUMBER | {"description": "of the detector, 0 to 1"},
    confidence=_UNSURE | {"description": "that the landmarks can be trusted, 0 to 1"},
    expected_nme_percent=_UNSURE,
    landmarks=_list(_list(_NUMBER, 3), 68) | {"description": "x right, y down, z to the viewer"},
    pose=_POSE,
    coefficients=_object(identity=_list(_NUMBER, 40), expression=_list(_NUMBER, 10)),
    arkit={"type": "object", "additionalProperties": {"type": "number"}},
)
_ANSWER = _object(width={"type": "integer"}, height={"type": "integer"}, faces=_list(_FACE))
_ANSWER["properties"] |= {
    "message": {"type": "string"},
    "files": {
        "type": "object",
        "additionalProperties": _object(type={"type": "string"}, base64={"type": "string"}),
    },
}
_ERROR = _object(error={"type": "string", "description": "one sentence"})
_ERRORS = {
    "400": "No photo, or a broken request.",
    "401": "The token is missing or wrong.",
    "408": "The request took too long to arrive.",
    "413": "Too many bytes or pixels.",
    "415": "Not a photo that can be read.",
    "422": "An unknown parameter.",
    "429": "Too many photos wait; try again after Retry-After seconds.",
    "503": "No answer in time, or the server is stopping.",
}


def document(*, token: bool) -> dict[str, Any]:
    """The document.

    Args:
        token: whether requests have to bring one.
    """
    photo = {"type": "string", "format": "binary"}
    answers: dict[str, Any] = {
        status: {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status, text in _ERRORS.items()
    }
    for status in ("429", "503"):
        answers[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    answers["200"] = {
        "description": "The faces, best score first.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}},
    }
    faces = {
        "operationId": "faces",
        "summary": "Faces of a photo",
        "parameters": [
            _parameter("draw", DRAWN, "Pictures to send along, as base64 in `files`."),
            _parameter("mesh", MESHED, "Meshes to send along, as base64 in `files`."),
            {
                "name": "space",
                "in": "query",
                "description": "Frame of the meshes.",
                "schema": {"enum": [*SPACES], "default": "image"},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": {"schema": photo},
                "application/octet-stream": {"schema": photo},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"image": photo},
                        "required": ["image"],
                    }
                },
            },
        },
        "responses": answers,
    }
    plain = {"200": {"description": "Yes.", "content": {"text/plain": {}}}}
    out: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "synergynet",
            "version": version("synergynet"),
            "description": "68 3D landmarks, head pose and a dense mesh of every face of a photo.",
        },
        "paths": {
            "/v1/faces": {"post": faces},
            "/healthz": {
                "get": {"operationId": "health", "summary": "Is it ready?", "responses": plain}
            },
            "/metrics": {
                "get": {
                    "operationId": "metrics",
                    "summary": "Counters for Prometheus",
                    "responses": plain | ({"401": answers["401"]} if token else {}),
                }
            },
        },
        "components": {"schemas": {"Answer": _ANSWER, "Error": _ERROR}},
    }
    if token:
        out["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        faces["security"] = out["paths"]["/metrics"]["get"]["security"] = [{"token": []}]
    return out


def _parameter(name: str, known: tuple[str, ...], text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": f"{text} With commas: {', '.join(known)}.",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "minItems": 1, "items": {"enum": [*known]}},
    }
