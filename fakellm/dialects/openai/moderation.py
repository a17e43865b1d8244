"""The verdict of moderation on an answer that asked for it: nothing is ever flagged.

Source: ``ChatCompletionModeration`` of OpenAI's published schema.
"""

from typing import Any

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_UNLIKELY = 1e-6


def moderation_object(model: str) -> dict[str, Any]:
    """The verdict on input and output, by the moderation ``model`` asked for."""
    verdict = {
        "type": "moderation_results",
        "model": model,
        "results": [
            {
                "type": "moderation_result",
                "model": model,
                "flagged": False,
                "categories": dict.fromkeys(CATEGORIES, False),
                "category_scores": dict.fromkeys(CATEGORIES, _UNLIKELY),
                "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
            }
        ],
    }
    return {"input": verdict, "output": verdict}
