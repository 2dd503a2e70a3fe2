"""Users and groups as in django-scim2's documentation: its mixins and Django's own user."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django_scim.models import AbstractSCIMGroupMixin, AbstractSCIMUserMixin


class Group(AbstractSCIMGroupMixin):
    name = models.CharField(max_length=150, unique=True)


class User(AbstractSCIMUserMixin, AbstractUser):
    user_permissions = None  # SCIM has no permissions
    groups = models.ManyToManyField(Group, related_name="user_set")

    @property
    def scim_groups(self):
        return self.groups
