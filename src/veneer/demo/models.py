"""The models that a demo server offers."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from .error import DemoError

Kind = Literal["chat", "embedding", "moderation"]


class DemoModel(msgspec.Struct, frozen=True):
    """A model on offer: its id, what it does, and its birthday in Unix seconds.

    A `chat` model answers chat completions, completions and responses.
    """

    id: str
    kind: Kind = "chat"
    created: int = 1_767_225_600

    def document(self) -> dict[str, object]:
        """Return the model object of OpenAI's API."""
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": "veneer",
        }


DEFAULT_MODELS: Final = (
    DemoModel("veneer-demo-1"),
    DemoModel("veneer-demo-embed", "embedding"),
    DemoModel("veneer-demo-moderation", "moderation"),
)


class Catalogue:
    """The models of one server, by id. Raises ValueError for none, or for an id given twice."""

    def __init__(self, models: Iterable[DemoModel]) -> None:
        listed = tuple(models)
        self._models = {model.id: model for model in listed}
        if not listed:
            raise ValueError("models is empty: give the demo server at least one DemoModel")
        if len(self._models) != len(listed):
            raise ValueError("models names an id twice: give each DemoModel an id of its own")

    def document(self) -> dict[str, object]:
        """Return the list object of OpenAI's API."""
        return {
            "object": "list",
            "data": [model.document() for model in self._models.values()],
        }

    def find(self, model_id: str) -> DemoModel:
        """Return the model; raise DemoError (404, `model_not_found`) if it is not on offer."""
        model = self._models.get(model_id)
        if model is None:
            raise DemoError(
                f"The model `{model_id}` does not exist or you do not have access to it.",
                status=404,
                param="model",
                code="model_not_found",
            )
        return model

    def require(self, model_id: str, kind: Kind) -> None:
        """Raise DemoError (404) unless the model is on offer and is of that kind."""
        model = self.find(model_id)
        if model.kind != kind:
            raise DemoError(
                f"The model `{model_id}` is not a model of the kind `{kind}`, which this endpoint "
                "needs.",
                status=404,
                param="model",
            )

    def first(self, kind: Kind) -> str | None:
        """Return the id of the first model of that kind, or None."""
        return next((model.id for model in self._models.values() if model.kind == kind), None)
