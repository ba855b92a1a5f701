#!/usr/bin/env python3
"""Opens a sealed backup with nothing but age and Python: open.py BACKUP.age OUT KEY.txt [KEY.txt ...]

Writes the files that are in it into the folder OUT, which must not be there, and says the password of a vendor's file.
"""

import os
import re
import subprocess
import sys
import tempfile

ARMOR = re.compile(rb"-----BEGIN AGE ENCRYPTED FILE-----.*?-----END AGE ENCRYPTED FILE-----\n?", re.S)


def age(sealed, keys):
    """What one of these key files opens; None if none does."""
    for key in keys:
        opened = subprocess.run(["age", "-d", "-i", key], input=sealed, capture_output=True)
        if opened.returncode == 0:
            return opened.stdout
    return None


def times(a, b):
    """The product of two bytes in GF(2^8), polynomial x^8+x^4+x^3+x+1."""
    product = 0
    for _ in range(8):
        product ^= a if b & 1 else 0
        a, b = (a << 1) ^ (0x11B if a & 0x80 else 0), b >> 1
    return product


def inverse(a):
    """a to the 254th power."""
    result = 1
    for _ in range(254):
        result = times(result, a)
    return result


def combine(shares):
    """The secret: the value at 0 of the polynomial that goes through every share (Lagrange)."""
    weights = {}
    for x in shares:
        weights[x] = 1
        for other in shares:
            if other != x:
                weights[x] = times(weights[x], times(other, inverse(x ^ other)))
    secret = bytearray(len(next(iter(shares.values()))))
    for x, share in shares.items():
        for place, byte in enumerate(share):
            secret[place] ^= times(weights[x], byte)
    return bytes(secret)


def unlock(sealed, keys):
    """What is inside, opened with as many key files as it takes."""
    if not sealed.startswith(b"tegata-quorum/v1\n"):
        return age(sealed, keys)
    *parts, payload = ARMOR.findall(sealed)
    needed = int(re.search(rb"^threshold (\d+)$", sealed, re.M)[1])
    shares = {}
    for part in parts:
        line = age(part, keys)
        if line and len(shares) < needed:
            _, _, _, number, share = line.decode().split()
            shares[int(number)] = bytes.fromhex(share)
    if len(shares) < needed:
        sys.exit(f"it takes {needed} keys, and only {len(shares)} of these open a share")
    with tempfile.NamedTemporaryFile() as lock:
        lock.write(combine(shares) + b"\n")
        lock.flush()
        return age(payload, [lock.name])


def fields(data):
    """Each after its length in four bytes."""
    while data:
        length = int.from_bytes(data[:4], "big")
        yield data[4 : 4 + length]
        data = data[4 + length :]


def main(path, out, *keys):
    os.umask(0o077)
    with open(path, "rb") as file:
        opened = unlock(file.read(), keys)
    if opened is None:
        sys.exit("none of these keys opens it")
    if opened.startswith(b"tegata-bundle\x01"):
        name, password, content = fields(opened[len(b"tegata-bundle\x01") :])
        print("password:", password.decode())
        files = [(os.path.basename(name.decode()) or "bundle.p12", content)]
    else:
        parts = list(fields(opened[len(b"tegata-files\x01") :]))
        files = [(name.decode(), content) for name, content in zip(parts[::2], parts[1::2])]
    os.mkdir(out)
    for name, content in files:
        place = os.path.join(out, name)
        if not os.path.realpath(place).startswith(os.path.realpath(out) + os.sep):
            sys.exit(f"a name in it leads elsewhere: {name!r}")
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "xb") as file:
            file.write(content)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
