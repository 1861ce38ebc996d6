-- POST the same webhook, each time with an id of its own in a header.
-- Called as: wrk ... -s bench/post-webhooks.lua URL -- PATH BODY ["NAME: VALUE" ...], 0000000000 is the id

dofile(debug.getinfo(1, "S").source:match("^@(.*)/") .. "/wrk-result.lua")

local PLACE = "0000000000"
local head, tail
local sent = 0

function init(args)
  local headers = {}
  for index = 3, #args do
    local name, value = args[index]:match("^(.-): (.*)$")
    headers[name] = value
  end
  local request = wrk.format("POST", args[1], headers, args[2])
  local from, to = request:find(PLACE, 1, true)
  head = request:sub(1, from - 1)
  tail = request:sub(to + 1)
end

function request()
  sent = sent + 1
  return head .. string.format("%010d", sent) .. tail
end
