// What Node's own HTTP server makes of the same requests when nothing is done for them: it parses
// the JSON of the body and writes a constant. Run: node bare_node.js PORT PIECE [PIECE ...]
"use strict";
const http = require("node:http");

const [port, ...pieces] = process.argv.slice(2);
const base = { id: "chatcmpl-0", created: 0, model: "benchmark" };
const choice = (more) => [{ index: 0, finish_reason: null, ...more }];
const message = { role: "assistant", content: pieces.join("") };
const whole = JSON.stringify({
  ...base,
  object: "chat.completion",
  choices: choice({ message, finish_reason: "stop" }),
  usage: { prompt_tokens: 9, completion_tokens: pieces.length, total_tokens: 9 + pieces.length },
});
const event = (delta, reason = null) => {
  const choices = choice({ delta, finish_reason: reason });
  return `data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices })}\n\n`;
};
const events = [
  event({ role: "assistant", content: "" }),
  ...pieces.map((content) => event({ content })),
  event({}, "stop"),
  "data: [DONE]\n\n",
];

const server = http.createServer((request, response) => {
  const received = [];
  request.on("data", (data) => received.push(data));
  request.on("end", () => {
    if (JSON.parse(Buffer.concat(received)).stream) {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      for (const each of events) response.write(each);
      response.end();
    } else {
      response.writeHead(200, {
        "Content-Type": "application/json",
        "Content-Length": Buffer.byteLength(whole),
      });
      response.end(whole);
    }
  });
});
server.listen(Number(port), "127.0.0.1");
