"""The route of the settings: what the server was started with, secrets masked."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from fakellm.web.control.routes import Call, Route


class SettingsShown(Struct, frozen=True, kw_only=True):
    """The settings by name."""

    settings: Annotated[
        dict[str, Any], Meta(description="By name, as in `FakeLLM(port=0)`; secrets are `***`.")
    ]


class SettingsRoutes:
    """Shows settings, which may be shown to anybody."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)

    def routes(self) -> list[Route]:
        """The one there is."""
        return [
            Route(
                method="GET",
                path="/settings",
                summary="Show what the server was started with.",
                handle=self._show,
                answer=SettingsShown,
            )
        ]

    async def _show(self, _: Call) -> SettingsShown:
        return SettingsShown(settings=self._settings)
