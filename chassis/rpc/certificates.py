"""The TLS certificate of a process and the authority that it trusts, reloaded at rotation."""

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
    """The content of the TLS files, reloaded when they change.

    During a rotation the new certificate and key may not match yet; they are ignored until they do.
    Refuses (StartError) files that cannot be used at startup.
    """

    def __init__(self, files: CertificateFiles, log: Logger) -> None:
        self._files = files
        self.log = log
        try:
            self._versions = self._stat_files()
            self._content = self._read()
            self.generation = 0
        except OSError as error:  # SSLError is a subclass
            raise StartError(f"the TLS files cannot be used: {_describe(error, files)}") from error

    def reload(self) -> int:
        """Reload files that have changed. Returns a number that grows with each new content."""
        try:
            versions = self._stat_files()
            if versions != self._versions:
                content = self._read()
                # If the files changed while they were read, reload them next time.
                if self._stat_files() == versions:
                    self._replace(versions, content)
        except OSError as error:
            self.log.warning("certificate reload failed", error=_describe(error, self._files))
        return self.generation

    def _replace(self, versions: _Versions, content: _Content) -> None:
        self._versions = versions
        if content != self._content:
            self._content = content
            self.generation += 1
            self.log.info("certificate reloaded")

    def for_server(self) -> grpc.ServerCredentials:
        """Server credentials that use the latest content of the files for each new connection.

        They require a client certificate that the authority has issued.
        """
        last = self.generation

        def changed_configuration() -> grpc.ServerCertificateConfiguration | None:
            """The configuration if it has changed. gRPC threads call this before each handshake."""
            # When gRPC gets a new configuration, it frees the old one while other threads begin
            # handshakes with it. That can crash the process (grpc/grpc#36693), so return a new
            # configuration only after a change of the certificate, not for each connection.
            nonlocal last
            previous, last = last, self.reload()
            return self._server_configuration() if last != previous else None

        return grpc.dynamic_ssl_server_credentials(
            self._server_configuration(),
            changed_configuration,  # type: ignore[arg-type] # the types lack None, which is allowed
            require_client_authentication=True,
        )

    def for_channel(self) -> grpc.ChannelCredentials:
        """Channel credentials with the current content. A channel cannot change them later."""
        content = self._content
        return grpc.ssl_channel_credentials(content.authority, content.key, content.certificate)

    def _server_configuration(self) -> grpc.ServerCertificateConfiguration:
        content = self._content
        return grpc.ssl_server_certificate_configuration(
            [(content.key, content.certificate)], content.authority
        )

    def _stat_files(self) -> _Versions:
        files: tuple[Path, ...] = astuple(self._files)
        stats = [file.stat() for file in files]
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)

    def _read(self) -> _Content:
        files = self._files
        # gRPC accepts any content and fails at each handshake. OpenSSL reports what is wrong.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
        context.load_verify_locations(files.authority)
        return _Content(
            files.certificate.read_bytes(), files.key.read_bytes(), files.authority.read_bytes()
        )


def _no_password() -> str:
    """Keeps OpenSSL from prompting for a password on the terminal."""
    return ""


def _describe(error: OSError, files: CertificateFiles) -> str:
    """The problem and the path. The path is redacted if it may be a secret, set by mistake."""
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "not PEM").replace("_", " ").lower()
        return f"{reason} ({files.certificate}, {files.key}, {files.authority})"
    named = [name for name, path in asdict(files).items() if str(path) == str(error.filename)]
    if not named:  # OpenSSL does not say which file
        return str(error.strerror)
    return f"{error.strerror} ({', '.join(named)}: {redact(str(error.filename))})"
