"""An identity provider over HTTP that signs real tokens: discovery, keys, authorization with PKCE, tokens.

What it says wrongly is decided by the test, by changing `claims`, `metadata` or the key that signs.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

KEYS = {kid: RSAKey.generate_key(2048, {"kid": kid, "use": "sig"}, private=True) for kid in ("one", "two")}
FORGED = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)
"""Has the name of another key."""


@dataclass
class Provider:
    """The provider; `sub` is whoever signs in there next."""

    issuer: str = ""
    client_id: str = "desk"
    client_secret: str = "secret of the desk"
    key: RSAKey = field(default_factory=lambda: KEYS["one"])
    published: list[RSAKey] = field(default_factory=list)
    """Keys in the set; empty: the one that signs."""
    algorithm: str = "RS256"
    now_s: int = 0
    claims: dict[str, Any] = field(default_factory=dict)
    """Over what the token would say; None takes a claim away."""
    metadata: dict[str, Any] = field(default_factory=dict)
    denies: str = ""
    """An error instead of a code."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    """Parameters of each authorization request."""

    def app(self) -> Starlette:
        """Served at `issuer`."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/keys", self._keys),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _discovery(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
                **self.metadata,
            }
        )

    async def _keys(self, request: Request) -> Response:
        return JSONResponse(KeySet(self.published or [self.key]).as_dict(private=False))

    async def _authorize(self, request: Request) -> Response:
        given = dict(request.query_params)
        self.asked.append(given)
        answer = {"state": given["state"], "iss": self.issuer}
        if self.denies:
            answer["error"] = self.denies
        else:
            answer["code"] = secrets.token_urlsafe()
            self.codes[answer["code"]] = given
        return RedirectResponse(f"{given['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        begun = self.codes.pop(given.get("code", ""), None)
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, 401)
        if begun is None or begun["code_challenge"] != challenge or begun["redirect_uri"] != given["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        said = {
            "iss": self.issuer,
            "sub": "42",
            "aud": self.client_id,
            "iat": self.now_s,
            "exp": self.now_s + 300,
            "nonce": begun["nonce"],
            "preferred_username": "clerk-7",
            "name": "七号",
            "roles": ["agent"],
            **self.claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.key.kid}
        token = jwt.encode(header, said, self.key, algorithms=[self.algorithm])
        return JSONResponse(
            {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "expires_in": 300, "id_token": token}
        )
