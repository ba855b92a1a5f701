"""An SMTP server that keeps what it is handed: aiosmtpd, with STARTTLS and AUTH required. usage: sink.py PORT DIR CERT KEY

Port 0 takes a free one; the port is the first line of standard output. Each letter becomes DIR/<n>.eml, its envelope in front.
An address that begins with bounce@ is refused for good (550), one with defer@ for now (451). While DIR/refuse exists, every
recipient is answered with its contents; while DIR/cut exists, a letter is kept and the connection ends without an answer.
"""
import asyncio, os, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

port, folder, cert, key = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
USER, PASSWORD = b"tegata", "合言葉 pw".encode()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if os.path.exists(f"{folder}/refuse"):
            return open(f"{folder}/refuse").read().strip()
        if address.startswith("bounce@"):
            return "550 5.1.1 no such user"
        if address.startswith("defer@"):
            return "451 4.7.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        number = 1 + len([name for name in os.listdir(folder) if name.endswith(".eml")])
        lines = ["X-From: " + envelope.mail_from, "X-Rcpt: " + ",".join(envelope.rcpt_tos), f"X-Tls: {session.ssl is not None}", ""]
        with open(f"{folder}/{number}.new", "wb") as file:
            file.write("\r\n".join(lines).encode() + envelope.original_content)
        os.rename(f"{folder}/{number}.new", f"{folder}/{number}.eml")
        if os.path.exists(f"{folder}/cut"):
            server.transport.abort()
        return "250 stored"


def authenticate(server, session, envelope, mechanism, data):
    success = isinstance(data, LoginPassword) and data.login == USER and data.password == PASSWORD
    return AuthResult(success=success, handled=False)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    loop = asyncio.get_running_loop()

    def session():
        return SMTP(Handler(), hostname="127.0.0.1", tls_context=context, require_starttls=True, auth_required=True,
                    authenticator=authenticate, auth_require_tls=True, loop=loop)

    server = await loop.create_server(session, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
