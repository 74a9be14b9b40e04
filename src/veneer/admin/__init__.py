"""Administration over HTTP: apps for principals with the scope `admin`."""

from veneer.admin.api import AdminApi, AdminApis
from veneer.admin.budgets import AdminBudgets
from veneer.admin.keys import AdminKeys

__all__ = ["AdminApi", "AdminApis", "AdminBudgets", "AdminKeys"]
