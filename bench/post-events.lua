-- POST /events with one event a request, each with an id of its own.
-- Called as: wrk ... -s bench/post-events.lua URL -- RUN_ID EVENT_BYTES ["NAME: VALUE" ...]

dofile(debug.getinfo(1, "S").source:match("^@(.*)/") .. "/wrk-result.lua")

local PLACE = "0000000000"
local NOTE = "leave it at the door, please; "
local head, tail
local sent = 0

function init(args)
  local bytes = tonumber(args[2])
  local start = '{"id":"' .. args[1] .. "-" .. PLACE .. '","type":"order.paid","data":{"order":"A-20417",'
    .. '"amount":"129.90","currency":"EUR","customer":{"name":"Ada Example"},"note":"'
  local note = NOTE:rep(math.ceil(bytes / #NOTE)):sub(1, bytes - #start - 3)
  local body = start .. note .. '"}}'
  local headers = { ["Content-Type"] = "application/json" }
  for index = 3, #args do
    local name, value = args[index]:match("^(.-): (.*)$")
    headers[name] = value
  end
  local request = wrk.format("POST", "/events", headers, body)
  local from, to = request:find(PLACE, 1, true)
  head = request:sub(1, from - 1)
  tail = request:sub(to + 1)
end

function request()
  sent = sent + 1
  return head .. string.format("%010d", sent) .. tail
end
