#!/usr/bin/env python3
"""Reads a spikebox bundle with Python's standard library and the zstd command.

It is written from format/SPEC.md alone and shows that the document suffices:
    read_bundle.py BUNDLE            the manifest's facts, and every member with its sum checked
    read_bundle.py BUNDLE MEMBER     that member, to standard output
Exit codes are spikebox's: 0 whole, 1 refused, 4 damaged and partly read.
"""
import hashlib, json, subprocess, sys, tarfile, unicodedata

FORMAT = 1


def members(path):
    """Gives (name without the folder, content) for each member that the SPEC allows ("Tar", "Names")."""
    zstd = subprocess.Popen(["zstd", "-dcq", "--memory=8MB", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    folder, seen = None, set()
    try:
        with tarfile.open(fileobj=zstd.stdout, mode="r|") as tar:
            for entry in tar:
                top, _, name = entry.name.partition("/")
                folder = folder or top
                clean = all(part not in ("", ".", "..") for part in entry.name.split("/")) and "\\" not in entry.name
                clean = clean and not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in entry.name)
                if entry.isfile() and clean and top == folder and name and name not in seen:
                    seen.add(name)
                    yield name, tar.extractfile(entry).read()
    except (tarfile.TarError, EOFError, OSError):
        pass  # cut short: what came before it is good, and the sums that are missing say so ("Damage")
    zstd.stdout.close()
    zstd.wait()


def sums(text):
    """Gives the sums by name ("Sums")."""
    return {line[66:]: line[:64] for line in text.decode().splitlines()}


def main(path, wanted=None):
    content = dict(members(path))
    if not content:
        sys.exit("refused: no member can be read")
    manifest = json.loads(content.get("spikebox.json", b'{"format": 0}'))
    if manifest["format"] > FORMAT:
        sys.exit(f"refused: format {manifest['format']}, and this reads up to {FORMAT}")
    if wanted:
        sys.stdout.buffer.write(content[wanted])
        return 0
    right = sums(content.get("SHA256SUMS", b""))
    damaged = [n for n in right if n not in content]
    for name, data in content.items():
        if name != "SHA256SUMS":
            good = hashlib.sha256(data).hexdigest() == right.get(name)
            damaged += [] if good else [name]
            print(f"{len(data):>10} {'whole  ' if good else 'damaged'} {name}")
    if manifest["format"]:
        window, partial = manifest["window"], [s["name"] for s in manifest["sources"] or [] if s["state"] != "complete"]
        print(f"{manifest['name']}: {manifest['trigger'].get('expr') or manifest['trigger']['kind']},",
              f"{window['start']} to {window['end']}, not complete: {', '.join(partial) or 'none'}")
    return 4 if damaged or "SHA256SUMS" not in content else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
