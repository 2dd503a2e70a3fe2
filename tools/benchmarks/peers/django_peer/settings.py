"""A Django project with only django-scim2: its own database, persistent connections."""

import os
from urllib.parse import unquote, urlsplit

_database = urlsplit(os.environ["PEER_DATABASE_URL"])

SECRET_KEY = os.environ["PEER_TOKEN"]
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "django_peer.urls"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django_scim",
    "django_peer",
]
MIDDLEWARE = ["django_peer.tokens.token_middleware"]
AUTH_USER_MODEL = "django_peer.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _database.hostname,
        "PORT": _database.port,
        "NAME": _database.path.removeprefix("/"),
        "USER": _database.username,
        "PASSWORD": unquote(_database.password or ""),
        "CONN_MAX_AGE": None,
    }
}
LOGGING_CONFIG = None
SCIM_SERVICE_PROVIDER = {
    "SCHEME": "http",
    "NETLOC": "127.0.0.1",
    "AUTHENTICATION_SCHEMES": [{"type": "oauth2", "name": "OAuth 2", "description": "A token"}],
    "GROUP_MODEL": "django_peer.models.Group",
}
