#!/usr/bin/python3
"""A double of macOS's /usr/bin/security: what its manual page and Apple's published SecurityTool say, as far as the agent uses it.

It keeps keychains in files and what securityd knows in model.json beside itself, and refuses what the real one refuses. What would
raise a dialog ends with "User interaction is not allowed", as it does where there is no screen. A secret in an argument is refused
outright, as is a user's list of keychains without the user. Every call is written down in calls.jsonl. Needs openssl.
"""
import base64, getopt, hashlib, hmac, json, os, re, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LINE_MAX, ARGUMENTS_MAX = 4096, 32
# Options after which a secret follows.
SECRET = {"create-keychain": "-p", "unlock-keychain": "-p", "import": "-P", "export": "-P", "set-key-partition-list": "-k"}
AUTH_FAILED = (-25293, "The user name or passphrase you entered is not correct.")
NO_KEYCHAIN = (-25294, "The specified keychain could not be found.")
DUPLICATE_KEYCHAIN = (-25296, "A keychain with the same name already exists.")
DUPLICATE_ITEM = (-25299, "The specified item already exists in the keychain.")
NOT_FOUND = (-25300, "The specified item could not be found in the keychain.")
WOULD_ASK = (-25308, "User interaction is not allowed.")
NOT_VALID = (-50, "One or more parameters passed to a function were not valid.")
MAC_FAILED = (-25264, "MAC verification failed during PKCS12 import (wrong password?)")


class Refused(Exception):
    def __init__(self, operation, reason, status=None):
        super().__init__(f"security: {operation}: {reason[1]}")
        self.status = reason[0] if status is None else status


def shell(*words, input=b""):
    done = subprocess.run(words, input=input, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def tool(*words, input=b""):
    told = shell(*words, input=input)
    assert told is not None, words[0]
    return told


def blocks(pem, kind):
    found = re.findall(rf"-----BEGIN ({kind})-----\s(.*?)-----END", pem.decode(errors="replace"), re.S)
    return [base64.b64decode("".join(body.split())) for _, body in found]


def armour(der, kind):
    text = base64.b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


def spki_of(der):
    pem = tool("openssl", "x509", "-inform", "DER", "-noout", "-pubkey", input=der)
    return blocks(pem, "PUBLIC KEY")[0].hex()


class Keychain:
    """A file with certificates and keys; whether it is unlocked is known to securityd only."""

    def __init__(self, path, operation):
        self.path, self.operation = path, operation
        if not os.path.exists(path):
            raise Refused(operation, NO_KEYCHAIN)
        with open(path) as file:
            self.content = json.load(file)

    def save(self):
        with open(self.path, "w") as file:
            json.dump(self.content, file, indent=1)

    def must_be_unlocked(self, status=None):
        if self.path not in MODEL["unlocked"]:
            raise Refused(self.operation, WOULD_ASK, status)

    def certificates(self):
        return [bytes.fromhex(one["der"]) for one in self.content["certificates"]]

    def keys(self):
        return {key["spki"]: key for key in self.content["keys"]}

    def add_certificate(self, der, spki):
        self.content["certificates"].append({"der": der.hex(), "spki": spki})

    def identities(self):
        keys = self.keys()
        return [one for one in self.content["certificates"] if one["spki"] in keys]


def options(words, short):
    try:
        found, rest = getopt.getopt(words, short)
    except getopt.GetoptError:
        raise Refused("Usage", (2, "see security(1)"))
    return dict(found), rest


def one_keychain(rest):
    if len(rest) != 1 or not rest[0]:
        raise Refused("Usage", (2, "exactly one keychain is expected from the agent"))
    return rest[0]


def create_keychain(words):
    chosen, rest = options(words, "hp:P")
    path = one_keychain(rest)
    if os.path.exists(path):
        raise Refused(f"SecKeychainCreate {path}", DUPLICATE_KEYCHAIN)
    settings = {"lock-on-sleep": True, "timeout": 300}
    with open(path, "w") as file:
        json.dump({"password": chosen["-p"], "settings": settings, "certificates": [], "keys": []}, file)
    MODEL["unlocked"].append(path)
    if MODEL["create_joins_list"]:
        MODEL["search"].append(path)


def delete_keychain(words):
    _, rest = options(words, "h")
    keychain = Keychain(one_keychain(rest), "SecKeychainDelete")
    os.remove(keychain.path)
    for known in ("search", "unlocked"):
        MODEL[known] = [path for path in MODEL[known] if path != keychain.path]


def unlock_keychain(words):
    chosen, rest = options(words, "hp:u")
    path = one_keychain(rest)
    operation = f"SecKeychainUnlock {path}"
    if Keychain(path, operation).content["password"] != chosen["-p"]:
        raise Refused(operation, AUTH_FAILED)
    MODEL["unlocked"] = sorted({*MODEL["unlocked"], path})


def set_keychain_settings(words):
    chosen, rest = options(words, "hlt:u")
    keychain = Keychain(one_keychain(rest), "SecKeychainSetSettings")
    keychain.must_be_unlocked()
    keychain.content["settings"] = {"lock-on-sleep": "-l" in chosen, "timeout": chosen.get("-t")}
    keychain.save()


def list_keychains(words):
    chosen, rest = options(words, "d:hs")
    if chosen.get("-d") != "user" or rest and "-s" not in chosen:
        raise Refused("Usage", (2, "the agent's business is the user's list only"))
    if "-s" in chosen:
        MODEL["search"] = rest
        return
    for path in MODEL["search"]:
        print(f"    {printed(path.encode())}")


def printed(data):
    plain = all(0x20 <= byte <= 0x7E and byte != 0x5C for byte in data)
    ascii = "".join(chr(byte) if 0x20 <= byte <= 0x7E and byte != 0x5C else f"\\{byte:03o}" for byte in data)
    return f'"{ascii}"' if plain else f'0x{data.hex().upper()}  "{ascii}"'


def bundle(path, password):
    """The keys and certificates of a PKCS#12 file, and how it is protected; None if the password does not fit."""
    protection = subprocess.run(["openssl", "pkcs12", "-in", path, "-passin", "stdin", "-info", "-noout"], input=password.encode(), capture_output=True)
    pem = shell("openssl", "pkcs12", "-in", path, "-passin", "stdin", "-nodes", input=password.encode())
    return pem and (blocks(pem, "[A-Z ]*PRIVATE KEY"), blocks(pem, "CERTIFICATE"), protection.stderr.decode(errors="replace"))


def import_(words):
    file, words = words[0], words[1:]
    chosen, rest = options(words, "k:t:f:P:wxa:hAT:")
    operation = "SecKeychainItemImport"
    keychain = Keychain(chosen["-k"], operation)
    assert not rest and chosen["-P"].isascii(), "it would ask for the password"
    keychain.must_be_unlocked(1)
    content = bundle(file, chosen["-P"])
    new_parser = MODEL["macos"] >= 15 and chosen.get("-f") == "pkcs12"
    if not content or not new_parser and ("PBES2" in content[2] or "MAC: sha1" not in content[2]):
        raise Refused(operation, MAC_FAILED, 1)
    (key,), certificates, _ = content
    spki = blocks(tool("openssl", "pkey", "-inform", "DER", "-pubout", input=key), "PUBLIC KEY")[0].hex()
    own = [der for der in certificates if spki_of(der) == spki]
    # Whether the new parser keeps what stands above is not known, so it does not.
    for der in own if new_parser else certificates:
        if der in keychain.certificates() or spki in keychain.keys():
            raise Refused(operation, DUPLICATE_ITEM, 1)
        keychain.add_certificate(der, spki_of(der))
    acl = "any" if "-A" in chosen else ["/usr/bin/security"]
    # -x is ignored by the new parser.
    fixed = "-x" in chosen and not new_parser
    keychain.content["keys"].append({"der": key.hex(), "spki": spki, "acl": acl, "partitions": ["apple-tool:"], "fixed": fixed})
    keychain.save()
    print("1 identity imported.")


def add_certificates(words):
    chosen, rest = options(words, "hk:")
    keychain = Keychain(chosen["-k"], "SecCertificateAddToKeychain")
    keychain.must_be_unlocked(1)
    for file in rest:
        with open(file, "rb") as opened:
            der = opened.read()
        if der in keychain.certificates():
            print(f"security: {file}: already in {keychain.path}", file=sys.stderr)
            raise Refused("SecCertificateAddToKeychain", DUPLICATE_ITEM, 1)
        keychain.add_certificate(der, spki_of(der))
    keychain.save()


def set_key_partition_list(words):
    chosen, rest = options(words, "a:c:dD:ej:k:l:rsS:t:uvw")
    keychain = Keychain(one_keychain(rest), "SecKeychainUnlock")
    if chosen["-k"] != keychain.content["password"]:
        raise Refused("SecKeychainUnlock", AUTH_FAILED, 1)
    if not keychain.content["keys"]:
        raise Refused("SecItemCopyMatching", NOT_FOUND, 1)
    for key in keychain.content["keys"]:
        key["partitions"] = chosen["-S"].split(",")
        print(f'keychain: {printed(keychain.path.encode())}\nclass: 0x00000010 \nattributes:\n    0x00000000 <uint32>=0x00000010 ')
    keychain.save()


def find_certificate(words):
    chosen, rest = options(words, "hac:e:mpZ")
    keychain = Keychain(one_keychain(rest), "SecKeychainSearchCopyNext")
    found = keychain.certificates()
    if not found and "-a" not in chosen:
        raise Refused(keychain.operation, NOT_FOUND)
    for der in found:
        if "-Z" in chosen:
            print(f"SHA-256 hash: {hashlib.sha256(der).hexdigest().upper()}\nSHA-1 hash: {hashlib.sha1(der).hexdigest().upper()}")
        if "-p" in chosen:
            print(armour(der, "CERTIFICATE"), end="")
        else:
            print(f'keychain: {printed(keychain.path.encode())}\nversion: 512\nclass: 0x80001000 \nattributes:')
            print(f'    "alis"<blob>={printed("受付".encode())}\n    "cenc"<uint32>=0x00000003 \n    "subj"<blob>=<NULL>')


def find_identity(words):
    chosen, rest = options(words, "hp:s:v")
    keychain = Keychain(one_keychain(rest), "SecIdentitySearchCreateWithPolicy")
    found = keychain.identities()
    print("\nPolicy: X.509 Basic\n  Matching identities")
    for number, one in enumerate(found, 1):
        print(f'{number:3}) {hashlib.sha1(bytes.fromhex(one["der"])).hexdigest().upper()} "受付" (CSSMERR_TP_NOT_TRUSTED)')
    print(f"     {len(found)} identities found\n\n  Valid identities only\n     0 valid identities found")


def der(tag, *parts):
    body = b"".join(parts)
    size = len(body).to_bytes(4, "big").lstrip(b"\0") or b"\0"
    return bytes([tag]) + (size if len(body) < 128 else bytes([0x80 | len(size)]) + size) + body


def body(value):
    """What is in the first value, and what follows it."""
    long = value[1] - 0x80 if value[1] & 0x80 else 0
    size, start = int.from_bytes(value[2 : 2 + long], "big") if long else value[1], 2 + long
    return value[start : start + size], value[start + size :]


def safes_of(key, certificate, password):
    """The contents of a bundle with one key (RFC 7292, section 4), protected as macOS does it."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "identity.pem")
        with open(file, "w") as opened:
            for one, kind in ((key, "PRIVATE KEY"), (certificate, "CERTIFICATE")):
                opened.write(armour(bytes.fromhex(one["der"]), kind))
        how = "-legacy -certpbe PBE-SHA1-RC2-40 -keypbe PBE-SHA1-3DES -iter 2048 -nomac".split()
        made = tool("openssl", "pkcs12", "-export", "-in", file, *how, "-passout", "stdin", input=password.encode())
    _, content = body(body(made)[0])  # after the version
    _, content = body(body(content)[0])  # after the type
    return body(body(body(content)[0])[0])[0]


def pfx(safes, password):
    """Puts a bundle together (RFC 7292, section 4), with its checksum (appendix B)."""
    data, sha1 = bytes.fromhex("06092a864886f70d010701"), bytes.fromhex("300906052b0e03021a0500")
    salt, rounds = os.urandom(8), 2048
    filled = [part * (64 // len(part) + 1) for part in (b"\3", salt)]
    words = (password + "\0").encode("utf-16-be")
    key = filled[0][:64] + filled[1][:64] + (words * 64)[: -(-len(words) // 64) * 64]
    for _ in range(rounds):
        key = hashlib.sha1(key).digest()
    digest = hmac.new(key, safes, "sha1").digest()
    checksum = der(0x30, der(0x30, sha1, der(4, digest)), der(4, salt), der(2, rounds.to_bytes(2, "big")))
    return der(0x30, der(2, b"\3"), der(0x30, data, der(0xA0, der(4, safes))), checksum)


def export(words):
    chosen, rest = options(words, "k:o:t:f:P:wph")
    operation = "SecKeychainItemExport"
    keychain = Keychain(chosen["-k"], operation)
    assert not rest and chosen["-t"] == "identities" and chosen["-f"] == "pkcs12" and chosen["-P"].isascii()
    keychain.must_be_unlocked(1)
    found, keys = keychain.identities(), keychain.keys()
    if not found:
        raise Refused(operation, NOT_VALID, 1)
    taken = [keys[one["spki"]] for one in found]
    if any(key["fixed"] or "apple-tool:" not in key["partitions"] for key in taken):
        raise Refused(operation, WOULD_ASK, 1)
    safes = b"".join(safes_of(keys[one["spki"]], one, chosen["-P"]) for one in found)
    with open(chosen["-o"], "wb") as file:
        file.write(pfx(der(0x30, safes), chosen["-P"]))
    print(f"...{os.path.getsize(chosen['-o'])} bytes written to {chosen['-o']}", file=sys.stderr)


def delete(words, with_key):
    chosen, rest = options(words, "hc:Z:t")
    keychain = Keychain(one_keychain(rest), "SecKeychainItemDelete")
    digest = {64: hashlib.sha256, 40: hashlib.sha1}.get(len(chosen["-Z"]))
    found = [one for one in keychain.content["certificates"] if digest(bytes.fromhex(one["der"])).hexdigest() == chosen["-Z"].lower()]
    if not found:
        print(f'Unable to delete certificate matching "{chosen["-Z"]}"', end="", file=sys.stderr)
        return 1
    keychain.must_be_unlocked()
    keychain.content["certificates"].remove(found[0])
    if with_key:
        keychain.content["keys"] = [key for key in keychain.content["keys"] if key["spki"] != found[0]["spki"]]
    keychain.save()


COMMANDS = {
    "create-keychain": create_keychain,
    "delete-keychain": delete_keychain,
    "unlock-keychain": unlock_keychain,
    "set-keychain-settings": set_keychain_settings,
    "list-keychains": list_keychains,
    "import": import_,
    "add-certificates": add_certificates,
    "set-key-partition-list": set_key_partition_list,
    "find-certificate": find_certificate,
    "find-identity": find_identity,
    "export": export,
    "delete-identity": lambda words: delete(words, True),
    "delete-certificate": lambda words: delete(words, False),
}


def execute(words):
    if words[0] not in COMMANDS:
        print(f'security: unknown command "{words[0]}"', file=sys.stderr)
        return 1
    try:
        return COMMANDS[words[0]](words[1:]) or 0
    except Refused as refused:
        print(refused, file=sys.stderr)
        return refused.status


def split(line):
    """As split_line of SecurityTool: quotation marks count only where an argument begins."""
    words, at = [], 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        quote = line[at] if line[at] in "\"'" else None
        at, word = at + bool(quote), ""
        while at < len(line) and (line[at] != quote if quote else not line[at].isspace()):
            at += line[at] == "\\"
            word, at = word + line[at : at + 1], at + 1
        words, at = words + [word], at + 1
    assert len(words) <= ARGUMENTS_MAX, "too many arguments for one line"
    return words


def interactive(lines):
    status = 0
    for line in lines:
        assert len(line) < LINE_MAX, "the line is too long to be read whole"
        words = split(line.decode())
        status = execute(words) if words else 0
        if status:
            print(f"{words[0]}: returned {status}", file=sys.stderr)
    return status


def main(words):
    if words == ["-i"]:
        return interactive(STDIN.splitlines(keepends=True))
    assert SECRET.get(words[0]) not in words[1:], "a secret in an argument can be read by every user"
    return execute(words)


if __name__ == "__main__":
    sys.excepthook = lambda kind, problem, _: print(f"the double cannot go on: {kind.__name__}: {problem}", file=sys.stderr)
    with open(os.path.join(HERE, "model.json")) as file:
        MODEL = json.load(file)
    assert os.environ.get("HOME") == MODEL["home"], "whose list of keychains?"
    STDIN = sys.stdin.buffer.read()
    STATUS = main(sys.argv[1:])
    with open(os.path.join(HERE, "model.json"), "w") as file:
        json.dump(MODEL, file)
    with open(os.path.join(HERE, "calls.jsonl"), "a") as file:
        file.write(json.dumps({"arguments": sys.argv[1:], "input": STDIN.decode(), "status": STATUS & 0xFF}, ensure_ascii=False) + "\n")
    sys.exit(STATUS & 0xFF)
