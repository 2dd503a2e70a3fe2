"""A channel whose connections can be replaced.

A gRPC channel in Python never changes its credentials (grpc/grpc#41779), so a new certificate
needs a new channel. So does a replica that does not respond, because callers cannot tell gRPC to
avoid it, and a name that does not resolve (`chassis.rpc.connection_check`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from chassis.concurrency.supervisor import Supervisor, Task
from chassis.rpc.certificates import Certificates
from chassis.rpc.connection_check import CHECK_SECONDS, ConnectionCheck

CERTIFICATE_SECONDS: Final = 1.0
"""The interval of the checks for a new certificate."""
READY_SECONDS: Final = 2.0
"""How long a new channel may take to connect."""

# gRPC's multicallables and calls, which are passed on unchanged.
Method = Any
Call = Any


class RotatingChannel(grpc.aio.Channel):
    """A channel that replaces its inner channel when that is better.

    It does so when the certificate changes, when a replica does not respond, and when it has no
    connection. Callers and their stubs do not notice. A new inner channel is used only after it has
    connected, so a certificate that servers refuse does no harm. Calls stay on the inner channel on
    which they began. It is closed after its last call.
    """

    def __init__(
        self,
        create_channel: Callable[[], grpc.aio.Channel],
        tasks: Supervisor,
        name: str,
        certificates: Certificates | None = None,
    ) -> None:
        self._create_channel = create_channel
        self._tasks = tasks
        self._log = tasks.log
        self._name = name
        self._certificates = certificates
        self._inner = _InnerChannel(create_channel(), self._generation)
        self._rotating = asyncio.Lock()
        self._running: list[Task] = []

    async def __aenter__(self) -> "RotatingChannel":
        self._start("connection check", self._rotate_when_faulty)
        if self._certificates is not None:
            certificates = self._certificates
            self._start("certificate renewal", lambda: self._rotate_when_changed(certificates))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Close the channel. Active calls have `grace` seconds to end."""
        for task in self._running:
            await task.end()
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

    def _start(self, purpose: str, run: Callable[[], Awaitable[None]]) -> None:
        name = f"{purpose} for {self._name}"
        if name in self._tasks.tasks:  # a second channel to the same target
            name += f" ({len(self._tasks.tasks)})"
        self._running.append(self._tasks.start(name, run))

    async def _rotate_when_changed(self, certificates: Certificates) -> None:
        while True:
            await asyncio.sleep(CERTIFICATE_SECONDS)
            newest = certificates.reload()
            if newest != self._inner.certificate_generation:
                await self._rotate()

    async def _rotate_when_faulty(self) -> None:
        check = ConnectionCheck()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            reason = await check.problem(self._inner.channel)
            if reason and await self._rotate():
                check.replaced()
                self._log.warning("connection replaced", target=self._name, reason=reason)

    async def _rotate(self) -> bool:
        """Connect a new inner channel and use it. Returns whether it connected in time."""
        async with self._rotating:
            new = _InnerChannel(self._create_channel(), self._generation)
            try:
                async with asyncio.timeout(READY_SECONDS):
                    await new.channel.channel_ready()
            except TimeoutError:
                await new.channel.close()
                return False
            except BaseException:
                await new.channel.close()
                raise
            previous, self._inner = self._inner, new
            previous.retire()
            return True

    @property
    def _generation(self) -> int:
        return self._certificates.generation if self._certificates else 0


class _InnerChannel:
    """A channel that can be retired: it is then closed when its last call has ended."""

    __slots__ = ("_active_calls", "_closing", "_retired", "certificate_generation", "channel")

    def __init__(self, channel: grpc.aio.Channel, certificate_generation: int) -> None:
        self.channel = channel
        self.certificate_generation = certificate_generation
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
