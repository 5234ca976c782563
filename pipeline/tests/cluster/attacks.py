"""What comes over the wire and must not: refused, and the cluster answers on.

Plans that are made by hand are in ../it/cluster.rs.
"""

import socket
import ssl
import subprocess

from cluster import QUESTION, SCHEDULER, Cluster, change, put, settings
from machines import HOST, address
from scoring import checkpoint

# How a client of HTTP/2 begins, with the frame of no settings.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
QUESTION_BYTES = 20 << 20


def attacks_are_refused(world, cluster):
    place, digest = checkpoint(world)
    count = "select count(predict(image, '{}', '{}')['confidence']) from faces"
    refused(cluster, "hash", "sql", count.format(place, "0" * 64))
    refused(cluster, "is no checkpoint of", "sql", count.format(f"{world.folder}/checkpoints/x", digest))
    elsewhere = ("--corpus", another(world), "sql", "select max(face_id) from faces")
    refused(cluster, "is no table that this cluster reads", *elsewhere)
    long = world.folder / "long.sql"
    long.write_text(f"select count(*) from faces where face_id in ('{'0' * QUESTION_BYTES}')")
    refused(cluster, "its text has", "sql", "-f", long)


def refused(cluster, words, *command):
    said = cluster.world.run(*command, "--cluster", SCHEDULER, fails=True)
    assert words in said, said
    cluster.is_well()


def another(world):
    """A corpus that the cluster was not told of."""
    corpus, pool = world.folder / "another", world.folder / "few"
    world.run("init", corpus)
    world.run("bench", "faces", pool, "--faces", 50, "--side", 24)
    world.run("--corpus", corpus, "ingest", pool)
    config = corpus / "marginalia.toml"
    config.write_text(config.read_text().replace("from_rows = 10000000", "from_rows = 0"))
    return corpus


def with_certificates_only(world):
    """Nobody gets a byte through without one, at no port of a cluster that has them."""
    folder, plain = world.folder / "tls", settings(world)
    certificates(folder)
    files = {"tls_cert": "cert.pem", "tls_key": "key.pem", "tls_ca": "ca.pem"}
    change(world, {f'{name} = ""': f'{name} = "{folder / file}"' for name, file in files.items()})
    secured = settings(world)
    cluster = Cluster(world).start()
    cluster.is_well()
    own = (folder / "cert.pem", folder / "key.pem")
    for port in ((address(0), 50050), (address(1), 50051), (address(1), 50052)):
        assert is_answered(port, own), f"{port} does not answer its own"
        assert not is_answered(port, None), f"{port} answers a stranger"
    put(world, plain)
    world.run("cluster", "status", "--cluster", SCHEDULER, fails=True)
    world.run("sql", QUESTION, "--cluster", SCHEDULER, fails=True)
    put(world, secured)
    cluster.is_well()
    cluster.kill_all()
    put(world, plain)


def is_answered(port, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(*certificate)
    try:
        with socket.create_connection(port, timeout=5) as plain, context.wrap_socket(plain) as connection:
            connection.sendall(PREFACE)
            return len(connection.recv(9)) > 0
    except OSError:
        return False


def certificates(folder):
    """An authority, and one certificate for all machines."""
    folder.mkdir()
    names = ",".join(f"IP:{address(n)}" for n in range(3)) + f",IP:{HOST}"
    (folder / "names").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
    for words in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=machine -keyout key.pem -out node.csr",
        "x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
