"""A channel whose TLS certificate can be replaced.

A gRPC channel in Python never changes its credentials (grpc/grpc#41779), so a new certificate
needs a new channel.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import grpc

from chassis.concurrency.supervisor import Supervisor, Task
from chassis.rpc.certificates import Certificates

CHECK_SECONDS: Final = 1.0
"""The interval of the checks for a new certificate."""
READY_SECONDS: Final = 2.0
"""How long a new channel may take to connect."""

# gRPC's multicallables and calls, which are passed on unchanged.
Method = Any
Call = Any


class RotatingChannel(grpc.aio.Channel):
    """A channel that replaces its inner channel when the certificate changes.

    Callers and their stubs do not notice. A new inner channel is used only after it has connected,
    so a certificate that servers refuse does no harm. Calls stay on the inner channel on which
    they began. It is closed after its last call.
    """

    def __init__(
        self,
        certificates: Certificates,
        create_channel: Callable[[Certificates], grpc.aio.Channel],
        tasks: Supervisor,
        name: str,
    ) -> None:
        self._certificates = certificates
        self._create_channel = create_channel
        self._certificate_generation = certificates.generation
        self._inner = _InnerChannel(create_channel(certificates))
        self._tasks = tasks
        self._name = name
        self._rotation: Task | None = None

    async def __aenter__(self) -> "RotatingChannel":
        self._rotation = self._tasks.start(
            f"certificate renewal for {self._name}", self._rotate_when_changed
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Close the channel. Active calls have `grace` seconds to end."""
        if self._rotation is not None:
            await self._rotation.end()
        await self._inner.channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The state of the connection."""
        return self._inner.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait for another state of the connection."""
        await self._inner.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel is connected."""
        await self._inner.channel.channel_ready()

    def unary_unary(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A callable for a unary method."""
        return self._method("unary_unary", arguments, named)

    def unary_stream(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A callable for a method with a stream of responses."""
        return self._method("unary_stream", arguments, named)

    def stream_unary(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A callable for a method with a stream of requests."""
        return self._method("stream_unary", arguments, named)

    def stream_stream(self, *arguments: Any, **named: Any) -> Method:  # noqa: ANN401
        """A callable for a method with streams of requests and responses."""
        return self._method("stream_stream", arguments, named)

    def _method(self, kind: str, arguments: Any, named: Any) -> Method:  # noqa: ANN401
        inner, method = self._inner, None

        def call(*request: Any, **options: Any) -> Call:  # noqa: ANN401
            nonlocal inner, method
            if method is None or inner is not self._inner:
                inner = self._inner
                method = getattr(inner.channel, kind)(*arguments, **named)
            return inner.track(method(*request, **options))

        return call

    async def _rotate_when_changed(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            newest = self._certificates.reload()
            if newest != self._certificate_generation and await self._rotate():
                self._certificate_generation = newest

    async def _rotate(self) -> bool:
        channel = self._create_channel(self._certificates)
        try:
            async with asyncio.timeout(READY_SECONDS):
                await channel.channel_ready()
        except TimeoutError:
            await channel.close()
            return False
        except BaseException:
            await channel.close()
            raise
        previous, self._inner = self._inner, _InnerChannel(channel)
        previous.retire()
        return True


class _InnerChannel:
    """A channel that can be retired: it is then closed when its last call has ended."""

    __slots__ = ("_active_calls", "_closing", "_retired", "channel")

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._active_calls = 0
        self._retired = False
        self._closing: asyncio.Task[None] | None = None

    def track(self, call: Call) -> Call:
        self._active_calls += 1
        call.add_done_callback(self._ended)
        return call

    def retire(self) -> None:
        self._retired = True
        self._close_if_idle()

    def _ended(self, _call: Call) -> None:
        self._active_calls -= 1
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._retired and self._active_calls == 0 and self._closing is None:
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self._closing = asyncio.get_running_loop().create_task(self.channel.close())
