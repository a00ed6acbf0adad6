"""redis-py with redis-entraid on the emulator: to other clients, too, it is what it says it is.

`make test-clients` runs this, with what the emulator prints in the environment and the lifetime of its tokens, in seconds, as
the argument. The emulator cuts a connection whose token has expired: one that lives three times as long has taken over new
tokens.
"""

import os
import time

import redis
from redis_py import lifetime, settings

client = redis.Redis(
    **settings(),
    # A command that fails is to be seen, not to be sent again.
    retry=None,
)

end = time.monotonic() + 3.5 * lifetime
count = 0
first = client.client_id()
while time.monotonic() < end:
    count += 1
    client.set("redis-py", count)
    assert int(client.get("redis-py")) == count
    time.sleep(0.02)
assert client.client_id() == first, "the connection did not live on"
print(f"redis-py {redis.__version__}: {2 * count} commands through three rotations on one connection")
# Its token manager has a thread of its own.
os._exit(0)
