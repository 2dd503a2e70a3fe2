"""The topics of the results, in the order of printing."""

from typing import Final

MANY: Final = "many organizations"
MEMORY: Final = "memory"
SCHEMAS: Final = "custom schemas"
LARGE: Final = "large organization"
EMAIL: Final = "e-mail change"
DELETE: Final = "DELETE of a user"
MANY_GROUPS: Final = "user in many groups"
FILTER: Final = "filter of 200 ids"
BULK: Final = "Bulk"
PORTAL: Final = "portal"
SNAPSHOT: Final = "snapshot"
SPACE: Final = "space"
UPDATES: Final = "updates"
SEARCH_INDEX: Final = "indexes for searches"
