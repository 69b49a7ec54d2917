"""Projects: groups of an account's resources. See README.md."""

from billing.projects.model import Project
from billing.projects.operations import create, create_default
from billing.projects.store import get_default_project, get_project

__all__ = [
    "Project",
    "create",
    "create_default",
    "get_default_project",
    "get_project",
]
