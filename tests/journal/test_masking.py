"""No secret is told: not in headers, not in queries, not in what looks like a key."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.journal.masking import masked_headers, masked_query, masked_text

few = settings(deadline=None, derandomize=True, max_examples=200, database=None)
secrets = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=20, max_size=40)


class MaskingTests(SynchronousTestCase):
    @few
    @given(secrets)
    def test_headers(self, secret: str) -> None:
        names = (
            "authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "set-cookie",
            "x-goog-api-key", "ocp-apim-subscription-key", "x-auth-token", "my-secret",
            "x-amz-security-token", "openai-api-key", "x-access-token",
        )  # fmt: skip
        for name in names:
            self.assertEqual(masked_headers({name: secret}), {name: "***"})
            self.assertNotIn(secret, masked_headers({name: f"Bearer {secret}"})[name])

    def test_the_scheme_of_an_authorization_stays(self) -> None:
        for scheme in ("Bearer", "Basic", "AWS4-HMAC-SHA256"):
            told = masked_headers({"authorization": f"{scheme} abc"})
            self.assertEqual(told, {"authorization": f"{scheme} ***"})

    def test_other_headers_stay_as_they_are(self) -> None:
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "OpenAI/Python 2.1.0",
            "x-stainless-arch": "x64",
            "x-fakellm-session": "blue",
            "anthropic-version": "2023-06-01",
            "x-ratelimit-limit-tokens": "5",
        }
        self.assertEqual(masked_headers(headers), headers)

    @few
    @given(secrets)
    def test_queries(self, secret: str) -> None:
        for name in ("key", "api_key", "api-key", "access_token", "sig", "client_secret", "apikey"):
            self.assertEqual(masked_query({name: secret}), {name: "***"})
        self.assertEqual(masked_query({"api-version": "1"}), {"api-version": "1"})

    @few
    @given(secrets)
    def test_what_looks_like_a_key_wherever_it_stands(self, secret: str) -> None:
        for text in (f"sk-{secret}", f"say sk-ant-{secret} twice", f"https://x/y?a=b&key={secret}"):
            self.assertNotIn(secret, masked_text(text))
            self.assertNotIn(secret, masked_headers({"referer": text})["referer"])

    def test_other_texts_stay_as_they_are(self) -> None:
        for text in ("risk-free", "https://x/y?a=b&c=d#e", "what?", "sk-", "", "a=b"):
            self.assertEqual(masked_text(text), text)
