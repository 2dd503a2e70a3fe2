"""What a new region needs: accounts, an administrator, an API key, a SAML key pair."""
