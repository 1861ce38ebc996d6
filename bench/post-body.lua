-- POST /events with the same NDJSON body again and again.
-- Called as: wrk ... -s bench/post-body.lua URL -- BODY_FILE

dofile(debug.getinfo(1, "S").source:match("^@(.*)/") .. "/wrk-result.lua")

local prepared

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local body = file:read("*a")
  file:close()
  prepared = wrk.format("POST", "/events", { ["Content-Type"] = "application/x-ndjson" }, body)
end

function request()
  return prepared
end
