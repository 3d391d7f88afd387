"""A listener with documents of its own, for tests: it speaks what the script of earlier gateways spoke.

documents.py JOURNAL [ready]: each line of the journal is {"path", "doc", "data"}; data null removes the document. With
"ready" it also tells when a watch is ready, and update times.
"""

import json
import sys
import threading
import time

journal = sys.argv[1]
tells = "ready" in sys.argv[2:]
lock = threading.Lock()
watches = {}  # id: path
documents = {}  # path: {doc: (data, version)}
lines = open(journal, encoding="utf-8")
version = 0


def write(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def change(watch, doc, data, op, version):
    line = {"id": watch, "doc_id": doc, "data": data, "op": op}
    if tells:
        line["update_time"] = str(version)
    write(line)


def catch_up():
    """Applies what the journal holds and was not applied yet. The test writes whole lines."""
    for text in lines:
        entry = json.loads(text)
        apply(entry["path"], entry["doc"], entry["data"])


def follow():
    while True:
        with lock:
            catch_up()
        time.sleep(0.005)


def apply(path, doc, data):
    global version
    version += 1
    known = documents.setdefault(path, {})
    op = "modified" if doc in known else "added"
    if data is None:
        op = "removed"
        known.pop(doc, None)
    else:
        known[doc] = (data, version)
    for watch, watched in watches.items():
        if watched == path:
            change(watch, doc, data, op, version)


if tells:
    write({"op": "hello"})
threading.Thread(target=follow, daemon=True).start()
for text in sys.stdin:
    ask = json.loads(text)
    with lock:
        catch_up()
        if ask["op"] == "subscribe":
            watches[ask["id"]] = ask["path"]
            for doc, (data, version) in sorted(documents.get(ask["path"], {}).items()):
                change(ask["id"], doc, data, "added", version)
            if tells:
                write({"id": ask["id"], "op": "ready"})
        elif ask["op"] == "unsubscribe":
            del watches[ask["id"]]
