"""An OpenID Connect provider: authorization code flow with PKCE, by authlib.

Source: OpenID Connect Core 1.0, sections 3.1.2.1 to 3.1.3.7; RFC 7636 (PKCE); RFC 9207 (issuer in the answer).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from services.desk.refusal import Refusal
from services.runtime.logging import get_logger

log = get_logger(__name__)

TIMEOUT_S: Final = 10.0
KNOWN_FOR_S: Final = 3600.0
"""How long discovery and keys are believed; a key that is not among them is asked for at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What we are at the provider."""

    issuer: str
    client_id: str
    client_secret: str = ""
    scopes: str = "openid profile"
    algorithms: tuple[str, ...] = ("RS256",)
    skew_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What has to be remembered until the person comes back from the provider."""

    url: str
    """Where the browser goes."""
    state: str
    nonce: str
    verifier: str


class OidcGateway:
    """The provider."""

    def __init__(
        self,
        client: Client,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._now = now
        self._monotonic = monotonic
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._known_until = float("-inf")

    async def begin(self, redirect_uri: str) -> Begun:
        """Begin to sign in.

        Raises:
            Refusal: `provider-away`.
        """
        metadata = await self._discovered()
        nonce, verifier = generate_token(32), generate_token(64)
        async with self._session(redirect_uri) as session:
            url, state = session.create_authorization_url(
                metadata["authorization_endpoint"], nonce=nonce, code_verifier=verifier, state=generate_token(32)
            )
        return Begun(url=url, state=state, nonce=nonce, verifier=verifier)

    async def finish(
        self, answer: Mapping[str, str], *, nonce: str, verifier: str, redirect_uri: str
    ) -> Mapping[str, Any]:
        """The claims about who came back, after every check.

        Args:
            answer: the parameters with which the provider sent the browser back; its state was checked.
            nonce: as begun.
            verifier: as begun.
            redirect_uri: as begun.

        Raises:
            Refusal: `provider-away`, `provider-refused`, `proof-refused`.
        """
        if error := answer.get("error"):
            raise Refusal("provider-refused", why=_code(error))
        metadata = await self._discovered()
        if answer.get("iss", self._client.issuer) != self._client.issuer:
            raise Refusal("proof-refused", why="the answer is another provider's")
        try:
            async with self._session(redirect_uri) as session:
                token = await session.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=answer.get("code", ""),
                    code_verifier=verifier,
                )
        except OAuthError as refusal:
            raise Refusal("provider-refused", why=_code(refusal.error)) from refusal
        except (httpx.HTTPError, ValueError) as away:
            raise _away(away) from away
        if not isinstance(token.get("id_token"), str):
            raise Refusal("proof-refused", why="there is no ID token in the provider's answer")
        return await self._checked(token, nonce)

    async def _checked(self, token: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        ours = self._client
        registry = JWSRegistry(algorithms=list(ours.algorithms), strict_check_header=False)
        options = {
            "iss": {"essential": True, "value": ours.issuer},
            "aud": {"essential": True, "value": ours.client_id},
            "sub": {"essential": True},
        }
        known = {"nonce": nonce, "client_id": ours.client_id, "access_token": token.get("access_token")}
        try:
            try:
                decoded = jwt.decode(token["id_token"], await self._key_set(), registry=registry)
            except InvalidKeyIdError:
                decoded = jwt.decode(token["id_token"], await self._key_set(fresh=True), registry=registry)
            claims = CodeIDToken(decoded.claims, decoded.header, options, known)
            claims.validate(now=int(self._now()), leeway=ours.skew_s)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            log.warning("oidc.proof_refused", error=type(error).__name__)
            why = getattr(error, "description", "") or type(error).__name__
            raise Refusal("proof-refused", why=str(why)[:200]) from error
        return dict(claims)

    async def _discovered(self) -> dict[str, Any]:
        if self._metadata and self._monotonic() < self._known_until:
            return self._metadata
        address = self._client.issuer.rstrip("/") + "/.well-known/openid-configuration"
        metadata: dict[str, Any] = await self._get(address)
        missing = [name for name in ("authorization_endpoint", "token_endpoint", "jwks_uri") if not metadata.get(name)]
        if missing or metadata.get("issuer") != self._client.issuer:
            # Somebody else's keys would be trusted otherwise (OpenID Connect Discovery 1.0, section 4.3).
            log.error("oidc.wrong_discovery", issuer=self._client.issuer, missing=missing)
            raise Refusal("proof-refused", why="the provider's description is not that of the issuer")
        self._metadata, self._keys = metadata, None
        self._known_until = self._monotonic() + KNOWN_FOR_S
        return metadata

    async def _key_set(self, *, fresh: bool = False) -> KeySet:
        if self._keys is None or fresh:
            self._keys = KeySet.import_key_set(await self._get(self._metadata["jwks_uri"]))
        return self._keys

    async def _get(self, url: str) -> Any:
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                answer = await client.get(url)
                answer.raise_for_status()
                return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise _away(error) from error

    def _session(self, redirect_uri: str) -> AsyncOAuth2Client:
        secret = self._client.client_secret
        return AsyncOAuth2Client(
            client_id=self._client.client_id,
            client_secret=secret or None,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=self._client.scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
        )


def _away(error: Exception) -> Refusal:
    log.warning("oidc.away", error=type(error).__name__)
    return Refusal("provider-away", retry_after_s=2)


def _code(given: object) -> str:
    """An OAuth error code; anything else that an address may carry is not repeated on a page of ours."""
    text = str(given)
    return text if text.isidentifier() and len(text) <= 60 else "error"
