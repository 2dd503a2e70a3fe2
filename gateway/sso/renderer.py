"""Rendering of the pages of single sign-on."""

from pathlib import Path
from typing import Any, Final

from aiohttp import web
from cloudacademy.users.v1.sessions_pb2 import Session

from gateway.web import templates
from gateway.web.assets import Assets
from gateway.web.headers import SECURITY

FOLDER: Final = Path(__file__).parent / "templates"


class PageRenderer:
    """Renders templates. Values are escaped; a missing value raises an error."""

    def __init__(self, form_action: str) -> None:
        self._environment = templates.environment(FOLDER)
        # The layout of the portal's pages shows these to people with a session.
        nobody = {"session": Session(), "here": "", "organization_name": ""}
        self._environment.globals |= {"asset": Assets().url, **nobody}
        policy = SECURITY["Content-Security-Policy"]
        self._headers = {
            **SECURITY,
            "Content-Security-Policy": policy.replace(
                "form-action 'self'", f"form-action {form_action}"
            ),
        }

    def page(
        self,
        template: str,
        status: int,
        request_id: str,
        **values: Any,  # noqa: ANN401
    ) -> web.Response:
        """A response with a rendered template."""
        html = self._environment.get_template(template).render(values, request_id=request_id)
        return web.Response(
            text=html,
            status=status,
            content_type="text/html",
            charset="utf-8",
            headers=self._headers,
        )


def form_action(public_url: str) -> str:
    """The CSP form-action sources for the form with the e-mail address.

    Submitting it redirects to an identity provider, and browsers apply form-action to redirects.
    """
    loopback = " http://127.0.0.1:* http://localhost:*"
    return "'self' https:" + ("" if public_url.startswith("https:") else loopback)
