-- For wrk: requests of which no two are alike, so that no server gains by remembering answers.
-- The number has always the same width, so that the head can be made once.

local count = 0
local head

local before = '{"model":"benchmark","messages":[{"role":"user","content":"Question '
local after = ': is anybody there?"}]}'

function init(args)
  head = "POST /v1/chat/completions HTTP/1.1\r\n"
    .. "Host: " .. wrk.host .. ":" .. wrk.port .. "\r\n"
    .. "Content-Type: application/json\r\n"
    .. "Content-Length: " .. (#before + 9 + #after) .. "\r\n\r\n" .. before
end

function request()
  count = count + 1
  return head .. string.format("%09d", count) .. after
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "summary requests=%d bytes=%d microseconds=%d lost=%d refused=%d\n",
    summary.requests, summary.bytes, summary.duration,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status
  ))
end
