-- The load of the case `single`: POST /events with events of about 200 bytes, each with an id of its own.
-- Called as: wrk ... -s bench/post-events.lua URL -- RUN_ID

local PLACE = "0000000000"
local head, tail
local sent = 0

function init(args)
  local body = '{"id":"' .. args[1] .. "-" .. PLACE .. '","type":"order.paid","data":{"order":"A-20417",'
    .. '"amount":"129.90","currency":"EUR","customer":{"name":"Ada Example","country":"NL"},'
    .. '"note":"leave it at the door, please"}}'
  local request = wrk.format("POST", "/events", { ["Content-Type"] = "application/json" }, body)
  local from, to = request:find(PLACE, 1, true)
  head = request:sub(1, from - 1)
  tail = request:sub(to + 1)
end

function request()
  sent = sent + 1
  return head .. string.format("%010d", sent) .. tail
end

-- One line for the program that reads this; times in microseconds.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'result {"requests":%d,"durationUs":%d,"p50Us":%d,"p99Us":%d,'
      .. '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
