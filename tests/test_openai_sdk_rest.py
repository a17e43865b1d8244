"""What the SDKs do besides chat, against a live server: OpenAI's and Azure's clients."""

from typing import Any

import openai
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.sdk import AsyncSdk, SdkTestCase


class RestTests(SdkTestCase):
    async def test_a_completion(self) -> None:
        answer = await self.call("completions.create", model="fake-model", prompt="Say", n=2)
        self.assertEqual([choice.text for choice in answer.choices], ["hello world"] * 2)

    async def test_embeddings_are_read_back(self) -> None:
        # which the SDK asks for in base64
        wanted = {"model": "text-embedding-3-small", "input": ["a cat", "the cat", "stocks"]}
        answer = await self.call("embeddings.create", **wanted)
        cat, same, other = (each.embedding for each in answer.data)
        self.assertGreater(_likeness(cat, same), _likeness(cat, other))
        self.assertEqual(len(cat), 1536)

    async def test_a_moderation(self) -> None:
        answer = await self.call("moderations.create", input=["Good morning", "murder"])
        self.assertEqual([result.flagged for result in answer.results], [False, True])
        self.assertTrue(answer.results[1].categories.violence)

    async def test_an_error_of_a_rule(self) -> None:
        with self.assertRaises(openai.RateLimitError):
            await self.call("embeddings.create", model="m", input="[429]")
        with self.assertRaises(openai.BadRequestError) as caught:
            await self.call("embeddings.create", model="m", input="")
        self.assertEqual(caught.exception.param, "input")


class AsyncRestTests(AsyncSdk, RestTests):
    pass


class AzureTests(SdkTestCase):
    def azure(self, use: Any, **options: Any) -> Deferred[Any]:
        """Use Azure's client in a thread."""
        url = self.serve(api_key=["k"])

        def work() -> Any:
            http = openai.DefaultHttpxClient(trust_env=False, verify=False)
            given = {"api_key": "k", "api_version": "2024-10-21", "max_retries": 0, **options}
            with openai.AzureOpenAI(azure_endpoint=url, http_client=http, **given) as client:
                return use(client)

        return deferToThread(work)

    async def test_chat_whole_and_streamed(self) -> None:
        wanted: dict[str, Any] = {
            "model": "fake-model",
            "messages": [{"role": "user", "content": "Say"}],
        }

        def use(client: openai.AzureOpenAI) -> tuple[Any, str]:
            answer = client.chat.completions.create(**wanted)
            chunks = client.chat.completions.create(stream=True, **wanted)
            said = [choice.delta.content for chunk in chunks for choice in chunk.choices]
            return answer, "".join(text or "" for text in said)

        answer, said = await self.azure(use)
        self.assertEqual((answer.choices[0].message.content, said), ("hello world",) * 2)
        self.assertIn("content_filter_results", answer.choices[0].model_extra)
        self.assertIn("prompt_filter_results", answer.model_extra)

    async def test_the_rest(self) -> None:
        def use(client: openai.AzureOpenAI) -> tuple[str, int]:
            answer = client.completions.create(model="fake-model", prompt="Say")
            vectors = client.embeddings.create(model="text-embedding-3-large", input="a")
            return answer.choices[0].text, len(vectors.data[0].embedding)

        self.assertEqual(await self.azure(use), ("hello world", 3072))

    async def test_a_wrong_key(self) -> None:
        def use(client: openai.AzureOpenAI) -> None:
            client.completions.create(model="fake-model", prompt="Say")

        with self.assertRaises(openai.AuthenticationError) as caught:
            await self.azure(use, api_key="wrong")
        self.assertIn("invalid subscription key", caught.exception.message)


def _likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
