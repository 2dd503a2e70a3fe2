"""Shared by the portal and single sign-on: cookies, CSRF, headers, assets, page limits."""
