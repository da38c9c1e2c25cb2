"""All planted bugs, in the order of the table."""

from tests.simulation.planted.in_delivery import IN_DELIVERY
from tests.simulation.planted.in_redis import IN_REDIS
from tests.simulation.planted.in_the_gateway import IN_THE_GATEWAY
from tests.simulation.planted.planting import Bug

BUGS: tuple[Bug, ...] = (*IN_DELIVERY, *IN_THE_GATEWAY, *IN_REDIS)
