"""redis-py's cluster client with redis-entraid on a cluster of the emulator: to other clients, too, it is one.

`make test-clients` runs this, with what the emulator prints in the environment and the lifetime of its tokens, in seconds, as
the argument. The nodes cut connections whose token has expired: those that live three times as long have taken over new tokens.
"""

import os
import socket
import time

import redis
from redis_py import env, lifetime, settings

# redis-py puts its IP in place of this one name, and would verify certificates for that. Names of caches it leaves alone.
socket.gethostbyname = lambda name: name
client = redis.RedisCluster(
    **settings(),
    # The topology names the nodes by their IP, for which their certificate is not valid; as in Azure, it is for the host's name.
    address_remap=lambda address: (env["REDIS_HOST"], address[1]),
)

nodes = client.get_primaries()
assert len(nodes) >= 3, nodes
end = time.monotonic() + 3.5 * lifetime
count = 0
while time.monotonic() < end:
    count += 1
    for key in range(30):
        client.set(f"redis-py:{key}", count)
    values = client.mget_nonatomic([f"redis-py:{key}" for key in range(30)])
    assert {int(value) for value in values} == {count}, values
    time.sleep(0.05)
assert sum(client.dbsize(target_nodes=node) for node in client.get_primaries()) == 30
print(f"redis-py {redis.__version__}: {31 * count} commands through three rotations on {len(nodes)} nodes of a cluster")
os._exit(0)
