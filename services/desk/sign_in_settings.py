"""Settings of signing in and of sessions: `DeskSettings` has them by inheritance."""

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator

from schemas.codes import StaffRole
from services.desk.attempt_store import AttemptLimits
from services.desk.oidc import ClaimNames
from services.desk.session import Limits
from services.runtime.settings import RuntimeSettings, Secret


class SignInSettings(RuntimeSettings):
    """Who is let in, and for how long."""

    desk_url: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+)?$",
        description="Address under which browsers reach the desk, e.g. `https://desk.example.com`; empty: as they say. "
        "With https cookies are `__Host-` cookies.",
    )
    local_accounts: bool = Field(True, description="Whether people sign in with names and passwords of this desk.")
    session_idle_s: int = Field(3600, ge=60, description="Seconds without a request after which a session ends.")
    session_s_max: int = Field(43_200, ge=300, description="Seconds after signing in after which a session ends.")
    sign_in_tries_of_account: int = Field(10, ge=1, description="Tries to sign in to one account in a window.")
    sign_in_tries_of_address: int = Field(100, ge=1, description="Tries to sign in from one address in a window.")
    sign_in_window_s: int = Field(900, ge=1, description="Seconds of that window.")
    oidc_issuer: str = Field("", description="Issuer of the OpenID Connect provider; empty: none.")
    oidc_client_id: str = Field("", description="Our name at the provider.")
    oidc_client_secret: Secret = Field(Secret(""), description="Our secret there; empty: a public client with PKCE.")
    oidc_scopes: str = Field("openid profile", description="Scopes that are asked for.")
    oidc_algorithms: tuple[str, ...] = Field(
        ("RS256", "ES256", "PS256", "EdDSA"), description="JSON: algorithms of signature that are trusted."
    )
    oidc_skew_s: int = Field(60, ge=0, le=600, description="By how many seconds the provider's clock may be off.")
    oidc_name_claim: str = Field("preferred_username", description="Claim of the account's name.")
    oidc_shown_claim: str = Field("name", description="Claim of the name that colleagues see.")
    oidc_role_claim: str = Field("roles", description="Claim of the roles, with dots for a path: `realm_access.roles`.")
    oidc_department_claim: str = Field("departments", description="Claim of the departments.")
    oidc_unit_claim: str = Field("units", description="Claim of the outlets and hubs.")
    oidc_roles: dict[str, StaffRole] = Field(
        {role.value: role for role in StaffRole},
        description="JSON: the provider's roles and what they are here. The first that somebody has counts.",
    )

    @model_validator(mode="after")
    def _somebody_can_sign_in(self) -> Self:
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("AMENDS_OIDC_ISSUER needs AMENDS_OIDC_CLIENT_ID")
        if not self.oidc_issuer and not self.local_accounts:
            raise ValueError("nobody could sign in: set AMENDS_OIDC_ISSUER or leave AMENDS_LOCAL_ACCOUNTS on")
        if {"none", "HS256", "HS384", "HS512"} & set(self.oidc_algorithms):
            raise ValueError("AMENDS_OIDC_ALGORITHMS may name signatures with public keys alone, e.g. RS256")
        return self

    def session_limits(self) -> Limits:
        """How long sessions hold."""
        return Limits(idle=timedelta(seconds=self.session_idle_s), absolute=timedelta(seconds=self.session_s_max))

    def attempt_limits(self) -> AttemptLimits:
        """How often one may try."""
        return AttemptLimits(
            of_account=self.sign_in_tries_of_account,
            of_address=self.sign_in_tries_of_address,
            window=timedelta(seconds=self.sign_in_window_s),
        )

    def claim_names(self) -> ClaimNames:
        """Which claim says what."""
        return ClaimNames(
            name=self.oidc_name_claim,
            shown_as=self.oidc_shown_claim,
            roles=self.oidc_role_claim,
            departments=self.oidc_department_claim,
            units=self.oidc_unit_claim,
            role_by_theirs=self.oidc_roles,
        )
