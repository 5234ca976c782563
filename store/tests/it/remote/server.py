"""An S3 server for the tests: moto, with one bucket.

moto looks for an object and then writes it, which two requests may do at once; behind one lock it keeps its promise. SIGUSR1
makes it forget the promise: conditions on writes are ignored from then on, as some stores do. An argument is the address to
listen on, where machines of their own are to reach it.
"""

import signal
import sys
import threading

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Serial:
    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()
        self.keeps_conditions = True

    def __call__(self, environ, start_response):
        if not self.keeps_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self.application(environ, start_response)
        with self.lock:
            return list(self.application(environ, start_response))


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


application = Serial(DomainDispatcherApplication(create_backend_app))
signal.signal(signal.SIGUSR1, lambda *_: setattr(application, "keeps_conditions", False))
s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket("faces", "us-east-1")
address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"
server = make_server(address, 0, application, threaded=True, request_handler=Quiet)
print(server.server_port, flush=True)
# Ends with whoever started it.
threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
server.serve_forever()
