"""What the portal and single sign-on share: cookies, CSRF tokens, headers, assets, page limits."""
