"""The certificate that a process is known by, and the authority that it believes."""

import ssl
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TypeAlias

import grpc

from chassis.config.settings import CertificateFiles
from chassis.observability.log import Logger
from chassis.startup import StartError, redact


@dataclass(frozen=True, slots=True)
class _Content:
    certificate: bytes
    key: bytes
    authority: bytes


_Versions: TypeAlias = tuple[tuple[int, int, int], ...]


class Certificates:
    """What the files hold, read anew once they have changed.

    Files that do not belong together, as in the middle of a rotation, are left
    alone until they do. Refuses (StartError) to begin with such.
    """

    def __init__(self, files: CertificateFiles, log: Logger) -> None:
        self._files = files
        self.log = log
        try:
            self._versions = self._look()
            self._content = self._read()
            self.generation = 0
        except OSError as error:  # SSLError is one
            raise StartError(f"the TLS files cannot be used: {_told(error, files)}") from error

    def renew(self) -> int:
        """Read the files if they have changed; a number that grows with each new content."""
        try:
            versions = self._look()
            if versions != self._versions:
                content = self._read()
                if self._look() == versions:  # else they changed meanwhile: next time
                    self._take(versions, content)
        except OSError as error:
            self.log.warning("certificate reload failed", error=_told(error, self._files))
        return self.generation

    def _take(self, versions: _Versions, content: _Content) -> None:
        self._versions = versions
        if content != self._content:
            self._content = content
            self.generation += 1
            self.log.info("certificate reloaded")

    def for_server(self) -> grpc.ServerCredentials:
        """Credentials that every new connection takes the files' latest content from.

        A caller must show a certificate of the authority.
        """
        given = self.generation

        def newest() -> grpc.ServerCertificateConfiguration | None:
            """The content if it has changed. A thread of gRPC asks before each handshake."""
            # A new configuration makes gRPC free the old one while other threads begin handshakes
            # with it, which can end the process (grpc/grpc#36693). So it is returned only when the
            # certificate changed, not at each connection that somebody opens.
            nonlocal given
            before, given = given, self.renew()
            return self._server_configuration() if given != before else None

        return grpc.dynamic_ssl_server_credentials(
            self._server_configuration(),
            newest,  # type: ignore[arg-type] # None is allowed, though the types lack it
            require_client_authentication=True,
        )

    def for_channel(self) -> grpc.ChannelCredentials:
        """Credentials of what the files hold now: a channel's cannot be changed later."""
        content = self._content
        return grpc.ssl_channel_credentials(content.authority, content.key, content.certificate)

    def _server_configuration(self) -> grpc.ServerCertificateConfiguration:
        content = self._content
        return grpc.ssl_server_certificate_configuration(
            [(content.key, content.certificate)], content.authority
        )

    def _look(self) -> _Versions:
        files: tuple[Path, ...] = astuple(self._files)
        stats = [file.stat() for file in files]
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)

    def _read(self) -> _Content:
        files = self._files
        # gRPC would take anything and fail at each handshake; OpenSSL says what is wrong.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
        context.load_verify_locations(files.authority)
        return _Content(
            files.certificate.read_bytes(), files.key.read_bytes(), files.authority.read_bytes()
        )


def _no_password() -> str:
    """Instead of OpenSSL's question on the terminal."""
    return ""


def _told(error: OSError, files: CertificateFiles) -> str:
    """What is wrong, and with which file; what leads to none may be a secret, and no path."""
    if isinstance(error, ssl.SSLError):
        what = (error.reason or "not PEM").replace("_", " ").lower()
        return f"{what} ({files.certificate}, {files.key}, {files.authority})"
    named = [name for name, path in asdict(files).items() if str(path) == str(error.filename)]
    if not named:  # OpenSSL does not say which
        return str(error.strerror)
    return f"{error.strerror} ({', '.join(named)}: {redact(str(error.filename))})"
