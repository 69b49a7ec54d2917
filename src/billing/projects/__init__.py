"""Projects: groups of an account's resources. See README.md."""

from billing.projects.model import Project
from billing.projects.operations import change, create, create_default
from billing.projects.store import get_default_project, get_project, list_projects

__all__ = [
    "Project",
    "change",
    "create",
    "create_default",
    "get_default_project",
    "get_project",
    "list_projects",
]
