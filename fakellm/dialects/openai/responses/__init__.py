"""OpenAI's Responses API, and the conversations it keeps: a pure codec."""
