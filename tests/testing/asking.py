"""Questions to a server, as an application asks them."""

from typing import Any

from fakellm.testing import MemoryLLM
from tests.servers import Answer


def asked(user: str, **fields: Any) -> dict[str, Any]:
    """The body of a request."""
    return {"model": "any-model", "messages": [{"role": "user", "content": user}], **fields}


class Asking:
    """Asks a server in memory; what becomes of it is seen later."""

    def __init__(self, llm: MemoryLLM, session: str | None = None) -> None:
        self._llm = llm
        self._headers = {} if session is None else {"Authorization": f"Bearer session-{session}"}

    def begin(self, user: str, **fields: Any) -> Answer:
        """Ask; the answer as far as it comes at once."""
        got: list[Any] = []
        self._llm.client.post(
            f"{self._llm.openai_url}/chat/completions",
            json=asked(user, **fields),
            headers=self._headers,
            unbuffered=True,
        ).addCallback(got.append)
        self._llm.flush()
        answer = Answer(got[0])
        self._llm.flush()
        return answer

    def __call__(self, user: str, **fields: Any) -> str:
        """Ask; what is said at once."""
        answer = self.begin(user, **fields)
        if answer.status != 200:
            return f"{answer.status}"
        said: str = answer.json["choices"][0]["message"]["content"]
        return said
