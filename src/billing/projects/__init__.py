"""Projects: groups of an account's resources. See README.md."""

from billing.projects.jobs import make_jobs
from billing.projects.model import Project, ProjectNotRestorable, ProjectProtected, ProjectSummary
from billing.projects.operations import create, create_default, delete, restore, summarize
from billing.projects.schemas import PROJECT_PREFIX, ProjectAnswer, show_details
from billing.projects.store import get_default_project, get_project

__all__ = [
    "PROJECT_PREFIX",
    "Project",
    "ProjectAnswer",
    "ProjectNotRestorable",
    "ProjectProtected",
    "ProjectSummary",
    "create",
    "create_default",
    "delete",
    "get_default_project",
    "get_project",
    "make_jobs",
    "restore",
    "show_details",
    "summarize",
]
