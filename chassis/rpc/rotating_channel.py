"""A channel that outlives the certificate it began with.

gRPC's Python channels keep the credentials they were made with for good
(grpc/grpc#41779), so a new certificate needs a new channel.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import grpc

from chassis.concurrency.supervisor import Supervisor, Task
from chassis.rpc.certificates import Certificates

LOOK_SECONDS: Final = 1.0
READY_SECONDS: Final = 2.0

# grpc's multicallables and calls are untyped where they are passed on unseen.
Method = Any
Call = Any


class RotatingChannel(grpc.aio.Channel):
    """Made anew when the certificate is; callers and their stubs do not notice.

    The new channel is taken once it is connected, so a certificate that no
    server takes breaks nothing that works. Calls end on the channel that they
    began on, which is closed after the last of them.
    """

    def __init__(
        self,
        certificates: Certificates,
        make: Callable[[Certificates], grpc.aio.Channel],
        tasks: Supervisor,
        name: str,
    ) -> None:
        self._certificates = certificates
        self._make = make
        self._used = certificates.generation
        self._generation = _Generation(make(certificates))
        self._tasks = tasks
        self._name = name
        self._watch: Task | None = None

    async def __aenter__(self) -> "RotatingChannel":
        self._watch = self._tasks.start(f"certificate renewal for {self._name}", self._follow)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Close the channel; calls that run have so many seconds to end."""
        if self._watch is not None:
            await self._watch.end()
        await self._generation.channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """How the connection stands."""
        return self._generation.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until it stands otherwise."""
        await self._generation.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until it is connected."""
        await self._generation.channel.channel_ready()

    def unary_unary(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A method with one request and one response."""
        return self._method("unary_unary", arguments, named)

    def unary_stream(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A method with one request and a stream of responses."""
        return self._method("unary_stream", arguments, named)

    def stream_unary(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A method with a stream of requests and one response."""
        return self._method("stream_unary", arguments, named)

    def stream_stream(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A method with streams both ways."""
        return self._method("stream_stream", arguments, named)

    def _method(self, kind: str, arguments: Any, named: Any) -> Method:  # noqa: ANN401
        generation, method = self._generation, None

        def call(*request: Any, **options: Any) -> Call:  # noqa: ANN401
            nonlocal generation, method
            if method is None or generation is not self._generation:
                generation = self._generation
                method = getattr(generation.channel, kind)(*arguments, **named)
            return generation.count(method(*request, **options))

        return call

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            newest = self._certificates.renew()
            if newest != self._used and await self._renew():
                self._used = newest

    async def _renew(self) -> bool:
        channel = self._make(self._certificates)
        try:
            async with asyncio.timeout(READY_SECONDS):
                await channel.channel_ready()
        except TimeoutError:
            await channel.close()
            return False
        except BaseException:
            await channel.close()
            raise
        before, self._generation = self._generation, _Generation(channel)
        before.retire()
        return True


class _Generation:
    """One channel and how many calls it has."""

    __slots__ = ("_calls", "_closing", "_retired", "channel")

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._calls = 0
        self._retired = False
        self._closing: asyncio.Task[None] | None = None

    def count(self, call: Call) -> Call:
        self._calls += 1
        call.add_done_callback(self._ended)
        return call

    def retire(self) -> None:
        self._retired = True
        self._close_if_idle()

    def _ended(self, _call: Call) -> None:
        self._calls -= 1
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._retired and self._calls == 0 and self._closing is None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and all with it
                self._closing = asyncio.get_running_loop().create_task(self.channel.close())
