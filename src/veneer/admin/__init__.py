"""Administration over HTTP: apps for principals with the scope `admin`."""

from veneer.admin.keys import AdminKeys

__all__ = ["AdminKeys"]
