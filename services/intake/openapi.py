"""What the API's description says of each route. The endpoints read the request themselves, so it stands here."""

from typing import Any, Final

from services.intake.complaint import Complaint

REF: Final = "#/components/schemas/{model}"

EXAMPLE: Final[dict[str, Any]] = {
    "channel": "web",
    "source": "external",
    "received_at": "2026-11-22T09:30:00+08:00",
    "complainant": {"name": "李雷", "phone": "138 0013 8000", "email": "lilei@example.com", "role": "consignee"},
    "waybills": ["YT8812345678901"],
    "places": ["HZ-0571-03"],
    "subject": "包裹破损",
    "description": "昨天收到的包裹外箱破裂，里面的杯子碎了两个，快递员放下就走。",
    "remedy": "希望赔偿杯子的价格。",
    "declared_value": {"amount": "168.00", "currency": "CNY"},
    "insured": True,
}
EXAMPLE_SHORT: Final[dict[str, Any]] = {
    "channel": "web",
    "complainant": {"phone": "13800138000"},
    "description": "My parcel has been in the hub for nine days.",
}
_ID: Final = "0d4f6b9e-0c1c-5a53-9d56-5b1f8a7c2e11"

ACCEPTED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["complaint_id", "status", "links"],
    "properties": {
        "complaint_id": {"type": "string", "format": "uuid"},
        "status": {"const": "accepted"},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
        "ignored": {"type": "array", "items": {"type": "string"}, "description": "Fields that nobody knows."},
    },
    "examples": [
        {
            "complaint_id": _ID,
            "status": "accepted",
            "links": {"self": f"/v1/complaints/{_ID}", "status": f"/v1/complaints/{_ID}"},
        }
    ],
}
PROGRESS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["complaint_id", "status", "next", "links"],
    "properties": {
        "complaint_id": {"type": "string", "format": "uuid"},
        "status": {
            "type": "string",
            "description": "`accepted` until there is a ticket; then its state, or `followed_up`.",
        },
        "ticket_id": {"type": ["string", "null"], "format": "uuid"},
        "ticket_number": {"type": ["string", "null"], "examples": ["2611-004217-6"]},
        "ticket_state": {"type": ["string", "null"]},
        "next": {"type": "string", "description": "What happens next, for a person."},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem details; `errors` has everything that is wrong, not the first thing.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:amends:problem:invalid-complaint"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "problem", "todo"],
                "properties": {
                    "field": {"type": "string", "examples": ["complainant.phone"]},
                    "code": {"type": "string", "examples": ["phone_invalid"]},
                    "value": {},
                    "problem": {"type": "string"},
                    "todo": {"type": "string"},
                },
            },
        },
    },
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses that are problems."""
    told = {
        400: "Not readable",
        404: "There is no such complaint",
        408: "The body did not arrive in time",
        413: "Too large",
        415: "Another content type, character set or a compressed body",
        422: "Not valid, or the idempotency key was used for other content",
        429: "Too many requests of this client; see `Retry-After`",
        503: "Cannot be taken just now; see `Retry-After`",
    }
    content = {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}}
    return {status: {"description": told[status], "content": content} for status in statuses}


LANGUAGE_HEADER: Final[dict[str, Any]] = {
    "name": "Accept-Language",
    "in": "header",
    "description": "Chinese or English words in the answer.",
    "schema": {"type": "string", "examples": ["zh-CN", "en"]},
}
KEY_HEADER: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The channel's own id of the complaint. The same key with the same content gives the same answer, "
    "however often it is sent; with other content it is refused.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "examples": ["0b6f1d52-6f43-4a41-9d3e-0d1c8c1c7c55"],
    },
}
TRACE_HEADER: Final[dict[str, Any]] = {
    "name": "traceparent",
    "in": "header",
    "description": "W3C Trace Context; it goes on through everything that follows.",
    "schema": {"type": "string"},
}

POST_COMPLAINT: Final[dict[str, Any]] = {
    "tags": ["complaints"],
    "summary": "Submit a complaint",
    "description": "202 is answered when the complaint is durable and can no longer be lost.",
    "status_code": 202,
    "openapi_extra": {
        "parameters": [KEY_HEADER, LANGUAGE_HEADER, TRACE_HEADER],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": REF.format(model="Complaint")},
                    "examples": {"full": {"value": EXAMPLE}, "short": {"value": EXAMPLE_SHORT}},
                }
            },
        },
    },
    "responses": {
        202: {
            "description": "Accepted",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "Where its progress is told."}},
            "content": {"application/json": {"schema": {"$ref": REF.format(model="Accepted")}}},
        },
        **refusals(400, 408, 413, 415, 422, 429, 503),
    },
}
_EVIDENCE: Final[dict[str, Any]] = {
    "id": {"type": "string", "format": "uuid", "description": "For `evidence` of a complaint."},
    "type": {"type": "string", "examples": ["image/jpeg"], "description": "Told by the content."},
    "size": {"type": "integer", "description": "Bytes."},
    "sha256": {"type": "string", "description": "Hexadecimal."},
}
POST_EVIDENCE: Final[dict[str, Any]] = {
    "tags": ["evidence"],
    "summary": "Upload photos, recordings or PDF",
    "description": "One file as the body, or several as multipart/form-data. A checksum is compared when it is given: "
    "`Content-Digest: sha-256=:...:` or `?sha256=` with one file, form fields `sha256` in the order of several.",
    "status_code": 201,
    "openapi_extra": {
        "parameters": [
            {"name": "sha256", "in": "query", "schema": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}},
            {"name": "Content-Digest", "in": "header", "schema": {"type": "string"}},
            LANGUAGE_HEADER,
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
                            "sha256": {"type": "array", "items": {"type": "string"}},
                        },
                    }
                },
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
    "responses": {
        201: {
            "description": "Kept",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["evidence"],
                        "properties": {
                            **_EVIDENCE,
                            "evidence": {"type": "array", "items": {"type": "object", "properties": _EVIDENCE}},
                        },
                    }
                }
            },
        },
        **refusals(408, 413, 415, 422, 429, 503),
    },
}
POST_BATCH: Final[dict[str, Any]] = {
    "tags": ["complaints"],
    "summary": "Submit many complaints",
    "description": "JSON lines or CSV, answered line by line while it is read. A broken line costs none of its "
    "neighbours, and sending the same again makes nothing twice: a line's key is its own `idempotency_key`, else the "
    "header's with the line's number, else its content. A line without an answer, because the file stopped coming, was "
    "not taken.",
    "openapi_extra": {
        "parameters": [KEY_HEADER, LANGUAGE_HEADER, TRACE_HEADER],
        "requestBody": {
            "required": True,
            "content": {
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "example": '{"complainant":{"phone":"13800138000"},"description":"..."}\n',
                },
                "text/csv": {
                    "schema": {"type": "string"},
                    "example": "phone,waybills,description\n13800138000,YT8812345678901,...\n",
                },
            },
        },
    },
    "responses": {
        200: {
            "description": "An answer per line, as JSON lines, in the order of the lines",
            "content": {
                "application/x-ndjson": {
                    "schema": {"$ref": REF.format(model="LineAnswer")},
                    "example": f'{{"line":1,"status":"accepted","complaint_id":"{_ID}"}}\n',
                }
            },
        },
        **refusals(413, 415, 422, 429, 503),
    },
}
LINE_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["line", "status"],
    "properties": {
        "line": {"type": "integer", "description": "Number of the line in what was sent, from 1."},
        "status": {
            "enum": ["accepted", "refused", "unavailable"],
            "description": "`unavailable`: send this line again later, with the same key.",
        },
        "complaint_id": {"type": "string", "format": "uuid"},
        "errors": PROBLEM["properties"]["errors"],
        "ignored": ACCEPTED["properties"]["ignored"],
    },
}
GET_COMPLAINT: Final[dict[str, Any]] = {
    "tags": ["complaints"],
    "summary": "How far a complaint has come",
    "openapi_extra": {
        "parameters": [
            {"name": "complaint_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}},
            {
                "name": "Prefer",
                "in": "header",
                "description": "`wait=2` waits up to two seconds for the ticket number (RFC 7240).",
                "schema": {"type": "string", "examples": ["wait=2"]},
            },
            LANGUAGE_HEADER,
        ],
    },
    "responses": {
        200: {
            "description": "What is known now",
            "content": {"application/json": {"schema": {"$ref": REF.format(model="Progress")}}},
        },
        **refusals(400, 404, 429, 503),
    },
}


def schemas() -> dict[str, Any]:
    """What the routes refer to."""
    complaint = Complaint.model_json_schema(ref_template=REF)
    return {
        **complaint.pop("$defs"),
        "Complaint": complaint,
        "Accepted": ACCEPTED,
        "Progress": PROGRESS,
        "Problem": PROBLEM,
        "LineAnswer": LINE_ANSWER,
    }
