"""Frameworks that apps use instead of the vendors' SDKs, unmodified, against a live server."""
