# SPDX-License-Identifier: ISC
"""A TLS server of HTTP/1.1 that can misbehave on the wire.  Used by the mock CA
and by the proxy in front of Pebble."""
import http.server
import socket
import struct
import threading

ENDLESS = b"x" * 65536


class Handler(http.server.BaseHTTPRequestHandler):
    """serve() is called for every request, and ends in reply() or abort()."""
    protocol_version = "HTTP/1.1"
    timeout = 60
    served = 0  # requests on this connection before the present one

    def log_message(self, *args):
        pass

    def serve(self):
        raise NotImplementedError

    def _one(self):
        self.serve()
        self.served += 1

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = _one

    def read_body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def pause(self, seconds):
        """Less when the server stops meanwhile."""
        self.server.over.wait(seconds)

    def abort(self):
        """Close with RST."""
        self.close_connection = True
        # From below TLS, whose own goodbye would be an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
        self.connection.close()

    def reply(self, status, headers, body, how=None):
        """how: delay, delay_body, drip: seconds; rst_body: RST in the middle;
        endless: a body without end; idle: close after so many seconds without
        a request; close: close after it, without having said so."""
        how = how or {}
        self.pause(how.get("delay", 0))
        self.send_response_only(status)
        for k, v in headers:
            self.send_header(k, v)
        if "endless" in how:
            self.send_header("Transfer-Encoding", "chunked")
        elif status != 204:
            self.send_header("Content-Length", str(len(body)))
        if self.command == "HEAD":
            body = b""
        head = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer = []
        self.wfile.write(head if how else head + body)
        if how:
            self._slowly(body, how)
        if "idle" in how:
            self.connection.settimeout(how["idle"])
        if "close" in how:
            self.close_connection = True

    def _slowly(self, body, how):
        if "endless" in how:
            chunk = b"%x\r\n%s\r\n" % (len(ENDLESS), ENDLESS)
            while not self.server.over.is_set():
                self.wfile.write(chunk)  # ends when the client closes
        half = len(body) // 2
        if "drip" in how:
            for i in range(len(body)):
                self.pause(how["drip"])
                self.wfile.write(body[i:i + 1])
            return
        self.wfile.write(body[:half])
        if "rst_body" in how:
            self.abort()
            return
        self.pause(how.get("delay_body", 0))
        self.wfile.write(body[half:])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, handler, tls):
        self.over = threading.Event()
        self.tls = tls
        self.open = set()
        super().__init__(("127.0.0.1", port), handler)
        self.thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02},
            daemon=True)
        self.thread.start()

    def finish_request(self, request, client_address):
        # The handshake is in the connection's own thread.
        request.settimeout(30)
        s = self.tls.wrap_socket(request, server_side=True)
        self.open.add(s)
        try:
            super().finish_request(s, client_address)
        finally:
            self.open.discard(s)

    def handle_error(self, request, client_address):
        pass

    def stop(self):
        """No connection is left, nor the port."""
        self.over.set()
        self.shutdown()
        self.server_close()
        for s in list(self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
