"""The AuthnRequest: a signed URL at the identity provider."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

from onelogin.saml2.auth import OneLogin_Saml2_Auth
from onelogin.saml2.authn_request import OneLogin_Saml2_Authn_Request
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Saml
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from gateway.sso.provider import IdentityProvider, ServiceProvider


@dataclass(frozen=True, slots=True)
class AuthnRequest:
    """The URL to redirect to, and the request id that the response must contain."""

    id: str
    url: str


def authn_request(sp: ServiceProvider, idp: IdentityProvider, relay_state: str) -> AuthnRequest:
    """A signed AuthnRequest in the HTTP-Redirect binding (SAML bindings section 3.4)."""
    # The library inserts the URL into the XML without escaping it.
    settings = sp.settings(idp, sso_url=escape(idp.sso_url, {'"': "&quot;"}))
    request = OneLogin_Saml2_Authn_Request(settings)
    parameters = {"SAMLRequest": request.get_request(), "RelayState": relay_state}
    OneLogin_Saml2_Auth({}, settings).add_request_signature(parameters, Saml.RSA_SHA256)
    # The signature covers SAMLRequest, RelayState and SigAlg in this order.
    ordered = {
        name: parameters[name] for name in ("SAMLRequest", "RelayState", "SigAlg", "Signature")
    }
    url = OneLogin_Saml2_Utils.redirect(idp.sso_url, ordered, {"http_host": "", "https": "on"})
    return AuthnRequest(request.get_id(), url)
