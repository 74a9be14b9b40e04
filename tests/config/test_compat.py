"""What a target does not know, as configured."""

from veneer.compat.target import Target
from veneer.config import parse
from veneer.config.compat import build_compat, build_embeddings
from veneer.embeddings.inputs import Caps


def test_the_defaults_are_those_of_the_layers() -> None:
    config = parse({})
    assert Target(**build_compat(config.compat)) == Target()
    assert build_embeddings(config.embeddings)["caps"] == Caps()


def test_a_target_of_functions_takes_those_of_clients_as_they_are() -> None:
    options = build_compat(parse({"compat": {"functions_only": True}}).compat)
    assert Target(**options) == Target(functions_only=True, legacy_functions=False)


def test_caps_of_content_parts_are_gathered() -> None:
    table = {"max_parts": 1, "max_images": 2, "max_videos": 3, "max_text": 4, "max_url": 5}
    options = build_embeddings(parse({"embeddings": table}).embeddings)
    assert options.pop("caps") == Caps(parts=1, images=2, videos=3, text=4, url=5)
    assert options == {
        "batches": "refuse",
        "allow_singleton_list": False,
        "parallel": 8,
        "max_items": 2048,
        "encoding": "upstream",
    }
